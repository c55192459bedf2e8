# One member, solved interval by interval. The type of the problem is the same for every model.

"""
How to solve; `memory` bounds what is kept for the discrete adjoint of a member, in bytes. `steep_share` is the share of
the tolerances with which Rodas5P takes steps from where values that control the error are steep. `atols` are absolute
tolerances of each state and integrated flux, of which `atol` is the least; none where that is the one of all. `step` is
the longest of implicit Euler.
"""
struct Settings
    solver::String
    rtol::Float64
    atol::Float64
    max_steps::Int
    memory::Float64
    steep_share::Float64
    atols::Vector{Float64}
    step::Float64
end

Settings(solver, rtol, atol, max_steps, memory = 1e9, steep_share = 1.0, atols = Float64[]) =
    Settings(solver, rtol, atol, max_steps, memory, steep_share, atols, Inf)
Settings(solver, rtol, atol, max_steps, memory, steep_share, step::Float64) =
    Settings(solver, rtol, atol, max_steps, memory, steep_share, Float64[], step)

"The absolute tolerance that a solver is given: where the norm of its errors knows of each state, the largest of all."
abstol_of(w::Work{Float64}, s::Settings) = isempty(s.atols) ? s.atol : maximum(s.atols)
abstol_of(w::Work, s::Settings) = s.atol

"Tells the work what it is solved with."
function set_tolerances!(w::Work, s::Settings)
    w.rtol, w.atol, w.atols, w.steep_share = s.rtol, s.atol, s.atols, s.steep_share
    return w
end

"Work done: accepted and rejected steps, and the smallest share of the tolerances that one was taken with."
mutable struct Counts
    steps::Int
    rejections::Int
    share::Float64
end

Counts() = Counts(0, 0, 1.0)


function rhs!(du, u, w::Work, t)
    rates!(du, set_point!(w, u, t))
    return nothing
end

function jac!(J, u, w::Work, t)
    fill_entries!(J, w.model.pattern, jacobian!(set_point!(w, u, t)))
    mark!(w, t)
    emphasise!(w, u)
    return nothing
end

"Rate of change of the rates with time alone: zero unless the forcing changes within the interval."
function tgrad!(dT, u, w::Work, t)
    w.linear || return (fill!(dT, zero(eltype(dT))); nothing)
    jacobian!(set_point!(w, u, t))
    return time_rates!(dT, w)
end

"The same from the slopes that were last evaluated, where the forcing changes within the interval."
function time_rates!(dT, w::Work)
    fill!(dT, zero(eltype(dT)))
    m = w.model
    if m.drifts
        fill!(w.drift, zero(eltype(w.drift)))
        foreach((k, s) -> add_drift!(w.drift, m.base, w, k, s), m.stages, w.stages)
    end
    foreach((k, s) -> add_drift!(dT, 0, w, k, s), m.kernels, w.kernels)
    return nothing
end

"Adds how the results of a kernel change with time alone: by forcings, and by assigned values that depend on them."
function add_drift!(rates, before, w::Work, k::Kernel, space::Space)
    m = w.model
    first = m.n_states + m.n_parameters
    for s in axes(k.targets, 2), j in (m.drifts ? 1 : k.active + 1):k.ways
        column = (k.output[s] - 1) * k.ways + j
        for i in 1:items(k)
            position = k.gather[i, j]
            position <= m.n_states && continue
            at = position - first
            rate = position > m.base ? w.drift[position-m.base] : (w.finish[at] - w.start[at]) / length_of(w)
            rates[k.targets[i, s]-before] += k.weights[i, s] * space.slopes[i, column] * rate
        end
    end
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

# Failures are read off return codes, not off warnings.
const QUIET = SciMLLogging.None()

# Up to this size a dense factorisation is faster than a sparse one.
const DENSE = 16

tridiagonal(pattern, core) = all(abs(i - j) <= 1 || i > core for (i, j, _) in zip(findnz(pattern)...))

"An empty Jacobian of the type that is fastest to factorise, and what factorises it."
function prototype(pattern::SparseMatrixCSC, ::Type{T}) where {T}
    n = size(pattern, 1)
    core = core_of(pattern)
    n <= DENSE && return zeros(T, n, n), Elimination(core)
    tridiagonal(pattern, core) && return SparseMatrixCSC{T,Int}(pattern), Elimination(core)
    return SparseMatrixCSC{T,Int}(pattern), T === Float64 ? SparseElimination() : KLUFactorization()
end

# Solvers that are seldom asked for, and where they are from: packages that would take as long to load as all the rest.
const SELDOM = Dict("FBDF" => :OrdinaryDiffEqBDF, "QNDF" => :OrdinaryDiffEqBDF, "KenCarp4" => :OrdinaryDiffEqSDIRK,
                    "TRBDF2" => :OrdinaryDiffEqSDIRK)
const SOLVERS = ("FBDF", "QNDF", "Rodas5P", "KenCarp4", "TRBDF2")

"""
The solver called `name`; `linsolve = nothing` leaves linear algebra to it. What solves with it is to be called by
`Base.invokelatest`: its package may have been loaded only now.
"""
function solver(name::String, linsolve)
    # The Jacobian is given, so nothing is ever differentiated by the solver; this only names a type.
    autodiff = AutoFiniteDiff()
    name == "Rodas5P" && return Rodas5P(; linsolve, autodiff)
    haskey(SELDOM, name) || throw(ArgumentError("unknown solver $name; known are $(join(SOLVERS, ", "))"))
    return Base.invokelatest(getglobal(Base.require(@__MODULE__, SELDOM[name]), Symbol(name)); linsolve, autodiff)
end

"""
Calls `f(solver, prototype)` for the solver called `name` and a Jacobian of the given pattern. The barrier
keeps the compiler from preparing every solver where one is asked for.
"""
function with_solver(f, name::String, pattern, ::Type{T}) where {T}
    return with_solver(f, name, prototype(pattern, T)...)
end

with_solver(f, name::String, J, linsolve) =
    Base.invokelatest(f, solver(name, linsolve), J)

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
    return ODEProblem{true,SciMLBase.FullSpecialize}(f, u0, (0.0, w.length), w)
end

"Asked by a solver after each step, as if it were whether `u` is out of bounds."
clock_only(u, w::Work, t) = (tick!(w); false)

"Solves the interval set in `w`, from `u0`, and keeps a dense solution."
function solve_interval(w::Work, u0, alg, J, s::Settings, dense::Bool, counts::Counts)
    look!(w, u0, 0.0)
    sol = solve(ode_problem(w, u0, J), alg; reltol = s.rtol, abstol = abstol_of(w, s), maxiters = s.max_steps,
                save_everystep = dense, dense, save_start = dense, verbose = QUIET, isoutofdomain = clock_only,
                callback = watched(w, s), internalnorm = norm_of(w))
    counts.steps += sol.stats.naccept
    counts.rejections += sol.stats.nreject
    check(sol.retcode)
    all(isfinite, sol.u[end]) || throw(Failure(:NotFinite))
    return sol
end

"""
Solves one member. `y` is `(states, breaks)` with the initial state in its first column and `q`
`(fluxes, intervals)`; both are filled in. With `dense`, returns the dense solutions of the intervals.
"""
function forward!(y, q, model::Model, breaks, p, f, s::Settings, dense::Bool, counts::Counts,
                  clock = Clock())
    return with_solver(s.solver, model.pattern, Float64) do alg, J
        forward!(y, q, model, breaks, p, f, s, dense, counts, clock, alg, J)
    end
end

function forward!(y, q, model, breaks, p, f, s, dense, counts, clock, alg, J)
    w = set_parameters!(Work{Float64}(model, size(f, 2) == 2; clock), p)
    set_tolerances!(w, s).share = 1.0
    n = model.n_states
    kept = nothing
    for j in 1:length(breaks)-1
        set_interval!(w, view(f, :, :, j), breaks[j+1] - breaks[j])
        sol = solve_interval(w, vcat(y[:, j], zeros(model.n_fluxes)), alg, J, s, dense, counts)
        y[:, j+1] .= view(sol.u[end], 1:n)
        q[:, j] .= view(sol.u[end], n+1:size_of(model))
        # Solutions are all of one type; the first one tells which.
        dense && (kept = push!(something(kept, typeof(sol)[]), sol))
    end
    counts.share = w.share
    return kept
end
