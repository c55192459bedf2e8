# One member, solved interval by interval. The type of the problem is the same for every model.

struct Settings
    solver::String
    rtol::Float64
    atol::Float64
    max_steps::Int
end

"What the right-hand side reads and overwrites: one per task."
mutable struct Work{T,F}
    const model::Model
    const functions::F          # the model's, on numbers of type `T`
    const v::Vector{T}
    const start::Vector{T}      # forcing at the start of the interval
    const finish::Vector{T}     # forcing at its end
    const entries::Vector{T}
    const slopes::Matrix{T}
    linear::Bool                # does the forcing change within the interval?
    t0::Float64
    t1::Float64
end

function Work{T}(model::Model, linear::Bool) where {T}
    v = zeros(T, model.n_values)
    first_constant = model.n_states + model.n_parameters + model.n_forcings + 1
    copyto!(v, first_constant, model.constants, 1, length(model.constants))
    forcing() = zeros(T, model.n_forcings)
    f = functions(T, model)
    return Work{T,typeof(f)}(model, f, v, forcing(), forcing(), zeros(T, nnz(model.pattern)),
                   zeros(T, model.widest, model.n_closures), linear, 0.0, 1.0)
end

parameters(model::Model) = model.n_states .+ (1:model.n_parameters)
forcings(model::Model) = model.n_states + model.n_parameters .+ (1:model.n_forcings)
size_of(model::Model) = model.n_states + model.n_fluxes

"Sets the interval; `f` is `(forcings, 1 or 2)`."
function set_interval!(w::Work, f::AbstractMatrix, t0, t1)
    w.t0, w.t1 = t0, t1
    w.start .= @view f[:, 1]
    w.finish .= @view f[:, end]
    w.v[forcings(w.model)] .= w.start
    return w
end

@inline function set_point!(w::Work, u, t)
    copyto!(w.v, 1, u, 1, w.model.n_states)
    if w.linear
        s = (t - w.t0) / (w.t1 - w.t0)
        offset = w.model.n_states + w.model.n_parameters
        @inbounds for i in eachindex(w.start)
            w.v[offset+i] = w.start[i] + s * (w.finish[i] - w.start[i])
        end
    end
    return w.v
end

functions(::Type{Float64}, model::Model) = model
functions(::Type{DualNumber}, model::Model) = model.duals()::DualFunctions

function rhs!(du, u, w::Work, t)
    w.functions.rates!(du, set_point!(w, u, t))
    return nothing
end

function jac!(J, u, w::Work, t)
    w.functions.jacobian!(w.entries, set_point!(w, u, t), w.slopes)
    fill_entries!(J, w.model.pattern, w.entries)
    return nothing
end

"Rate of change of the rates with time alone: zero unless the forcing changes within the interval."
function tgrad!(dT, u, w::Work, t)
    fill!(dT, zero(eltype(dT)))
    w.linear || return nothing
    # Rates are smooth in the forcing, and it is linear in time: central differences over a small part
    # of the interval are exact to about ten digits.
    h = 1e-5 * (w.t1 - w.t0)
    low, high = similar(dT), similar(dT)
    rhs!(low, u, w, t - h)
    rhs!(high, u, w, t + h)
    dT .= (high .- low) ./ (2h)
    return nothing
end

fill_entries!(J::SparseMatrixCSC, pattern, entries) = copyto!(nonzeros(J), entries)
function fill_entries!(J::Tridiagonal, pattern, entries)
    rows = rowvals(pattern)
    @inbounds for column in axes(pattern, 2), at in nzrange(pattern, column)
        row = rows[at]
        row == column ? (J.d[column] = entries[at]) :
        row > column ? (J.dl[column] = entries[at]) : (J.du[row] = entries[at])
    end
    return J
end
function fill_entries!(J::Matrix, pattern, entries)
    fill!(J, zero(eltype(J)))
    rows = rowvals(pattern)
    for column in axes(pattern, 2), at in nzrange(pattern, column)
        J[rows[at], column] = entries[at]
    end
    return J
end

# Failures are read off return codes, not off warnings.
const QUIET = SciMLLogging.None()

# Up to this size a dense factorisation is faster than a sparse one.
const DENSE = 16

tridiagonal(pattern) = all(abs(i - j) <= 1 for (i, j, _) in zip(findnz(pattern)...))

"An empty Jacobian of the type that is fastest to factorise, and what factorises it."
function prototype(pattern::SparseMatrixCSC, ::Type{T}) where {T}
    n = size(pattern, 1)
    n <= DENSE && return zeros(T, n, n), LUFactorization()
    tridiagonal(pattern) && return Tridiagonal(zeros(T, n - 1), zeros(T, n), zeros(T, n - 1)), LUFactorization()
    return SparseMatrixCSC{T,Int}(pattern), KLUFactorization()
end

const SOLVERS = ("FBDF", "QNDF", "Rodas5P", "KenCarp4", "TRBDF2")

"The solver called `name`; `linsolve = nothing` leaves linear algebra to it."
function solver(name::String, linsolve)
    # The Jacobian is given, so nothing is ever differentiated by the solver; this only names a type.
    autodiff = AutoFiniteDiff()
    name == "FBDF" && return FBDF(; linsolve, autodiff)
    name == "QNDF" && return QNDF(; linsolve, autodiff)
    name == "Rodas5P" && return Rodas5P(; linsolve, autodiff)
    name == "KenCarp4" && return KenCarp4(; linsolve, autodiff)
    name == "TRBDF2" && return TRBDF2(; linsolve, autodiff)
    throw(ArgumentError("unknown solver $name; known are $(join(SOLVERS, ", "))"))
end

"""
Calls `f(solver, prototype)` for the solver called `name` and a Jacobian of the given pattern. The barrier
keeps the compiler from preparing every solver where one is asked for.
"""
function with_solver(f, name::String, pattern, ::Type{T}) where {T}
    J, linsolve = prototype(pattern, T)
    return Base.inferencebarrier(f)(Base.inferencebarrier(solver(name, linsolve)), Base.inferencebarrier(J))
end

"A failed solve: the solver's return code."
struct Failure <: Exception
    code::Symbol
end

function check(code)
    SciMLBase.successful_retcode(code) || throw(Failure(Symbol(code)))
    return nothing
end

function ode_problem(w::Work{T}, u0::Vector{T}, J) where {T}
    f = ODEFunction{true,SciMLBase.FullSpecialize}(rhs!; jac = jac!, tgrad = tgrad!, jac_prototype = J)
    return ODEProblem{true,SciMLBase.FullSpecialize}(f, u0, (w.t0, w.t1), w)
end

"Solves the interval set in `w`, from `u0`. `dense` keeps what the adjoint needs."
function solve_interval(w::Work, u0, alg, J, s::Settings, dense::Bool)
    sol = solve(ode_problem(w, u0, J), alg; reltol = s.rtol, abstol = s.atol, maxiters = s.max_steps,
                save_everystep = dense, dense, save_start = dense, verbose = QUIET)
    check(sol.retcode)
    all(isfinite, sol.u[end]) || throw(Failure(:NotFinite))
    return sol
end

"""
Solves one member. `y` is `(states, breaks)` with the initial state in its first column and `q`
`(fluxes, intervals)`; both are filled in. Returns the dense solutions of the intervals, for the adjoint.
"""
function forward!(y, q, model::Model, breaks, p, f, s::Settings, dense::Bool)
    return with_solver(s.solver, model.pattern, Float64) do alg, J
        forward!(y, q, model, breaks, p, f, s, dense, alg, J)
    end
end

function forward!(y, q, model, breaks, p, f, s, dense, alg, J)
    w = Work{Float64}(model, size(f, 2) == 2)
    w.v[parameters(model)] .= p
    n = model.n_states
    kept = nothing
    for j in 1:length(breaks)-1
        set_interval!(w, view(f, :, :, j), breaks[j], breaks[j+1])
        sol = solve_interval(w, vcat(y[:, j], zeros(model.n_fluxes)), alg, J, s, dense)
        y[:, j+1] .= view(sol.u[end], 1:n)
        q[:, j] .= view(sol.u[end], n+1:size_of(model))
        # Solutions are all of one type; the first one tells which.
        dense && (kept = push!(something(kept, typeof(sol)[]), sol))
    end
    return kept
end
