# One member, solved interval by interval. The type of the problem is the same for every model.

struct Settings
    solver::String
    rtol::Float64
    atol::Float64
    max_steps::Int
end

"What the right-hand side reads and overwrites: one per task."
mutable struct Work{T}
    const model::Model
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
    return Work{T}(model, v, forcing(), forcing(), zeros(T, nnz(model.pattern)),
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

rates!(m::Model, du::Values, v::Values) = m.rates!(du, v)
rates!(m::Model, du::Duals, v::Duals) = m.rates_dual!(du, v)
jacobian!(m::Model, e::Values, v::Values, s) = m.jacobian!(e, v, s)
jacobian!(m::Model, e::Duals, v::Duals, s) = m.jacobian_dual!(e, v, s)

function rhs!(du, u, w::Work, t)
    rates!(w.model, du, set_point!(w, u, t))
    return nothing
end

function jac!(J, u, w::Work, t)
    jacobian!(w.model, w.entries, set_point!(w, u, t), w.slopes)
    fill_entries!(J, w.model.pattern, w.entries)
    return nothing
end

fill_entries!(J::SparseMatrixCSC, pattern, entries) = copyto!(nonzeros(J), entries)
function fill_entries!(J::Matrix, pattern, entries)
    fill!(J, zero(eltype(J)))
    rows = rowvals(pattern)
    for column in axes(pattern, 2), at in nzrange(pattern, column)
        J[rows[at], column] = entries[at]
    end
    return J
end

# Up to this size a dense factorisation is faster than a sparse one.
const DENSE = 16
prototype(pattern::SparseMatrixCSC, ::Type{T}) where {T} =
    size(pattern, 1) <= DENSE ? zeros(T, size(pattern)) : SparseMatrixCSC{T,Int}(pattern)

linear_solver(n::Int) = n <= DENSE ? LUFactorization() : KLUFactorization()

const SOLVERS = ("FBDF", "QNDF", "Rodas5P", "KenCarp4", "TRBDF2")

"Calls `f` with the solver called `name` for a system of size `n`."
function with_solver(f, name::String, n::Int)
    ls = linear_solver(n)
    name == "FBDF" && return f(FBDF(linsolve = ls, autodiff = AutoFiniteDiff()))
    name == "QNDF" && return f(QNDF(linsolve = ls, autodiff = AutoFiniteDiff()))
    name == "Rodas5P" && return f(Rodas5P(linsolve = ls, autodiff = AutoFiniteDiff()))
    name == "KenCarp4" && return f(KenCarp4(linsolve = ls, autodiff = AutoFiniteDiff()))
    name == "TRBDF2" && return f(TRBDF2(linsolve = ls, autodiff = AutoFiniteDiff()))
    throw(ArgumentError("unknown solver $name; known are $(join(SOLVERS, ", "))"))
end

"A failed solve: the solver's return code."
struct Failure <: Exception
    code::Symbol
end

function check(code)
    SciMLBase.successful_retcode(code) || throw(Failure(Symbol(code)))
    return nothing
end

function ode_problem(w::Work{T}, u0::Vector{T}) where {T}
    f = ODEFunction{true,SciMLBase.FullSpecialize}(rhs!; jac = jac!, jac_prototype = prototype(w.model.pattern, T))
    return ODEProblem{true,SciMLBase.FullSpecialize}(f, u0, (w.t0, w.t1), w)
end

"Solves the interval set in `w`, from `u0`. `dense` keeps what the adjoint needs."
function solve_interval(w::Work, u0, alg, s::Settings, dense::Bool)
    sol = solve(ode_problem(w, u0), alg; reltol = s.rtol, abstol = s.atol, maxiters = s.max_steps,
                save_everystep = dense, dense, save_start = dense, verbose = false)
    check(sol.retcode)
    all(isfinite, sol.u[end]) || throw(Failure(:NotFinite))
    return sol
end

"""
Solves one member. `y` is `(states, breaks)` with the initial state in its first column and `q`
`(fluxes, intervals)`; both are filled in. Returns the dense solutions of the intervals, for the adjoint.
"""
function forward!(y, q, model::Model, breaks, p, f, s::Settings, dense::Bool)
    return with_solver(alg -> forward!(y, q, model, breaks, p, f, s, dense, alg), s.solver, size_of(model))
end

function forward!(y, q, model, breaks, p, f, s, dense, alg)
    w = Work{Float64}(model, size(f, 2) == 2)
    w.v[parameters(model)] .= p
    n = model.n_states
    kept = Any[]
    for j in 1:length(breaks)-1
        set_interval!(w, view(f, :, :, j), breaks[j], breaks[j+1])
        sol = solve_interval(w, vcat(y[:, j], zeros(model.n_fluxes)), alg, s, dense)
        y[:, j+1] .= view(sol.u[end], 1:n)
        q[:, j] .= view(sol.u[end], n+1:size_of(model))
        dense && push!(kept, sol)
    end
    return kept
end
