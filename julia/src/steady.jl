# Steady states: where all rates of change vanish while the forcing stays as it is. Newton's method with damping by the
# natural monotonicity test (Deuflhard 2004, Newton Methods for Nonlinear Problems, 3.3), which no unit of a rate
# or state affects; where it fails, pseudo-transient continuation (Kelley and Keyes 1998, SIAM J. Numer. Anal. 35): steps
# of implicit Euler whose size grows as the rates fall, until Newton's method succeeds from where they have led.

# A damped step is at least this share of Newton's; and as many are taken in one attempt at most.
const LEAST_SHARE, ATTEMPT = 1 / 1024, 30
# The first step in pseudo-time changes no state by more than as much of it. A step is taken where a further iteration
# would correct it by no more than half, and is larger than the one before where that is less than a tenth.
const FIRST_CHANGE, NONLINEAR, LINEAR = 0.01, 0.5, 0.1
# Between two attempts of Newton's method the pseudo-time step grows as much, or as many steps are taken.
const FURTHER, PATIENCE = 10.0, 20
# Where the steps are longer than the first by such a factor, nothing comes to rest, or shorter, nothing can be taken.
const LONGEST, SHORTEST = 1e12, 1e-12
# A matrix is taken for singular where changes of its entries by as small a share would make it so.
const SINGULAR = 1e-12
# Pivots of an earlier matrix serve where they leave no larger a residual, as a share of the terms it is a sum of.
const ACCURATE = 1e-10
# Corrections of what was found by the factors of the last step.
const POLISH = 2

"What a search for a steady state reads and overwrites."
mutable struct Search{L,M}
    const work::Work{Float64}
    linear::L
    const matrix::M
    const values::SparseMatrixCSC{Float64,Int}  # the matrix that is factorised: I / step - J, or its transpose
    const places::Vector{Int}                   # which entry of the Jacobian each of its values is
    const low::Vector{Float64}
    const high::Vector{Float64}
    const weights::Vector{Float64}              # one over the tolerance of each state
    const rates::Vector{Float64}                # at the point reached
    const trial::Vector{Float64}
    const trial_rates::Vector{Float64}
    const step::Vector{Float64}
    const right::Vector{Float64}
    const correction::Vector{Float64}
    const residual::Vector{Float64}
    const terms::Vector{Float64}
    rtol::Float64
    const atol::Vector{Float64}                 # of each state
    left::Int                                   # factorisations that are still allowed
    pivots::Int                                 # matrices that were factorised with the same pivots
    broken::Symbol                              # which range a steady state was out of, the last that was
end

function Search(w::Work{Float64}, J, linsolve, values, places, low, high, s::Settings)
    n = w.model.n_states
    set_tolerances!(w, s)
    # Its diagonal makes the first, never used, matrix regular.
    foreach(i -> J[i, i] = 1.0, 1:n)
    linear = init(SciMLBase.LinearProblem(J, zeros(n)), linsolve; verbose = QUIET)
    states() = zeros(n)
    rates() = zeros(size_of(w.model))
    return Search(w, linear, J, copy(values), places, low, high, states(), rates(), states(), rates(), states(), states(),
                  states(), states(), states(), s.rtol, isempty(s.atols) ? fill(s.atol, n) : s.atols[1:n], 0, 0, :OutOfRange)
end

"The pattern of the Jacobian of the states alone, and which entry of the whole each of its values is."
function state_pattern(m::Model)
    n = m.n_states
    numbered = SparseMatrixCSC(size(m.pattern)..., m.pattern.colptr, m.pattern.rowval, collect(1:nnz(m.pattern)))[1:n, 1:n]
    return SparseMatrixCSC(n, n, numbered.colptr, numbered.rowval, zeros(nnz(numbered))), nonzeros(numbered)
end

"Calls `f(set_up)`, where `set_up()` makes a search; behind a barrier, as in `with_solver`."
function with_search(f, m::Model, low, high, s::Settings, clock; adjoint = false)
    pattern, places = adjoint ? (m.transposed, m.places) : state_pattern(m)
    J, linsolve = prototype(pattern, Float64)
    make(J, linsolve) = () -> Search(Work{Float64}(m, false; adjoint, clock), copy(J), linsolve, pattern, places, low, high, s)
    return Base.inferencebarrier(f)(make(Base.inferencebarrier(J), Base.inferencebarrier(linsolve)))
end

"Computes the rates at `y`; whether all are finite."
evaluate!(rates, s::Search, y) = (rates!(rates, set_point!(s.work, y, 0.0)); all(isfinite, rates))

function weigh!(s::Search, y)
    @. s.weights = 1 / (s.atol + s.rtol * abs(y))
    return s
end

"The largest of some values of the states, in their tolerances."
largest(s::Search, x) = maximum(i -> abs(x[i]) * s.weights[i], eachindex(s.weights))

"Whether all states are within their bounds, but for what the tolerance allows."
inside(s::Search, y) = all(eachindex(y)) do i
    low, high = s.low[i], s.high[i]
    slack = s.atol[i]
    (low == -Inf || y[i] >= low - slack - s.rtol * abs(low)) && (high == Inf || y[i] <= high + slack + s.rtol * abs(high))
end

"Sets the matrix `I shift - J` at `y`; whether it is finite."
function set_matrix!(s::Search, y, shift)
    tick!(s.work)
    s.left > 0 || throw(Failure(:ConvergenceFailure))
    s.left -= 1
    entries = jacobian!(set_point!(s.work, y, 0.0))
    values, rows = nonzeros(s.values), rowvals(s.values)
    @inbounds for column in axes(s.values, 2), at in nzrange(s.values, column)
        values[at] = (rows[at] == column ? shift : 0.0) - entries[s.places[at]]
    end
    fill_entries!(s.matrix, s.values, values)
    s.linear.A = s.matrix
    s.pivots += 1
    return all(isfinite, values)
end

"Solves for `b`, the states of it; whether that succeeds."
function divide!(x, s::Search, b)
    copyto!(s.right, 1, b, 1, length(s.right))
    solve_into!(x, s) && (s.pivots == 1 || accurate(s, x)) && return true
    s.pivots == 1 && return false
    s.linear = init(SciMLBase.LinearProblem(s.matrix, copy(s.right)), s.linear.alg; verbose = QUIET)
    s.pivots = 1
    return solve_into!(x, s)
end

function solve_into!(x, s::Search)
    s.linear.b = s.right
    solved = SciMLBase.solve!(s.linear)
    copyto!(x, solved.u)
    return SciMLBase.successful_retcode(solved) && all(isfinite, x)
end

function accurate(s::Search, x)
    fill!(s.residual, 0.0)
    fill!(s.terms, 0.0)
    rows, values = rowvals(s.values), nonzeros(s.values)
    @inbounds for column in axes(s.values, 2), at in nzrange(s.values, column)
        term = values[at] * x[column]
        s.residual[rows[at]] += term
        s.terms[rows[at]] += abs(term)
    end
    return all(i -> abs(s.residual[i] - s.right[i]) <= ACCURATE * (s.terms[i] + abs(s.right[i])), eachindex(x))
end

"""
Whether the matrix that was factorised is singular to working precision: `z` solves it for right-hand sides `r` of the size
of its rows, and `r` is no more of `|A| |z|` than rounding. Then `z`, in `s.correction`, is a direction in which no rate changes.
"""
function singular!(s::Search)
    absolute(x) = product!(s.trial, s.values, x)
    copyto!(s.trial_rates, 1, absolute(1 ./ s.weights), 1, length(s.trial))
    @inbounds for i in eachindex(s.trial)
        s.trial_rates[i] *= 0.75 + 0.25 * cos(3.7 * i * i)
    end
    divide!(s.correction, s, s.trial_rates) || return true
    size = absolute(s.correction)
    return all(i -> s.trial_rates[i] <= SINGULAR * size[i], eachindex(size))
end

"Assigns `|A| |x|` to `y`."
function product!(y, A::SparseMatrixCSC, x)
    fill!(y, 0.0)
    rows, values = rowvals(A), nonzeros(A)
    @inbounds for column in axes(A, 2), at in nzrange(A, column)
        y[rows[at]] += abs(values[at] * x[column])
    end
    return y
end

"Goes from `y`, in place, to a steady state; returns what came of it."
function newton!(y, s::Search)
    evaluate!(s.rates, s, y) || return :NotFinite
    share = 1.0
    for _ in 1:ATTEMPT
        set_matrix!(s, y, 0.0) && divide!(s.step, s, s.rates) || return :Singular
        weigh!(s, y)
        size = largest(s, s.step)
        if size <= 1
            singular!(s) && return :Singular
            s.trial .= y .+ s.step
            return arrive!(y, s)
        end
        share = min(1.0, 4share)
        while !(descends!(s, y, share, size))
            share /= 2
            share < LEAST_SHARE && return :Stalled
        end
        copyto!(y, s.trial)
        copyto!(s.rates, s.trial_rates)
    end
    return :Stalled
end

"Whether the step that would follow is enough smaller after a share of Newton's, by the same factors and weights."
function descends!(s::Search, y, share, size)
    @. s.trial = y + share * s.step
    inside(s, s.trial) && evaluate!(s.trial_rates, s, s.trial) && divide!(s.correction, s, s.trial_rates) || return false
    return largest(s, s.correction) <= (1 - share / 4) * size
end

"Takes the last step to `s.trial`, where rates must be finite and states in their ranges."
function arrive!(y, s::Search)
    inside(s, s.trial) || return :OutOfRange
    evaluate!(s.trial_rates, s, s.trial) || return :NotFinite
    polish!(s)
    try
        guard!(s.work, s.trial, 0.0)
    catch failure
        failure isa Failure || rethrow()
        s.broken = failure.code
        return :OutOfRange
    end
    copyto!(y, s.trial)
    copyto!(s.rates, s.trial_rates)
    return :Success
end

"Corrects `s.trial`, at the end of `s.step`, by the same factors, as long as that takes it closer: balances close to rounding."
function polish!(s::Search)
    size = largest(s, s.step)
    for _ in 1:POLISH
        divide!(s.correction, s, s.trial_rates) || return nothing
        moved = largest(s, s.correction)
        s.step .= s.trial .+ s.correction
        2moved <= size && inside(s, s.step) && evaluate!(s.rates, s, s.step) || return nothing
        copyto!(s.trial, s.step)
        copyto!(s.trial_rates, s.rates)
        size = moved
    end
    return nothing
end

"Goes from `y`, in place, along pseudo-time to a steady state."
function relax!(y, s::Search)
    evaluate!(s.rates, s, y) || return :NotFinite
    speed = largest(weigh!(s, y), s.rates)
    speed > 0 || return :Singular
    first = FIRST_CHANGE / (s.rtol * speed)
    size = tried = first
    taken, candidate, code = 0, copy(y), :Stalled
    while SHORTEST * first <= size <= LONGEST * first
        bend = pseudo_step!(s, y, size)
        if !(bend <= NONLINEAR)
            size /= 4
            continue
        end
        copyto!(y, s.trial)
        copyto!(s.rates, s.trial_rates)
        before, speed = speed, largest(weigh!(s, y), s.rates)
        # Switched evolution relaxation; where a step is close to linear a rate that does not fall holds nothing up.
        size *= max(clamp(before / speed, 0.5, 10.0), bend <= LINEAR^3 ? 10.0 : bend <= LINEAR ? 2.0 : 0.0)
        taken += 1
        if size >= FURTHER * tried || taken % PATIENCE == 0
            tried = max(tried, size)
            copyto!(candidate, y)
            code = newton!(candidate, s)
            code == :Success && return (copyto!(y, candidate); code)
            evaluate!(s.rates, s, y)
        end
    end
    return code
end

"""
A step of implicit Euler from `y` to `s.trial`, by one iteration. Returns the share of it by which the next iteration would
correct it: how far the rates are from linear; infinite where there is no such step.
"""
function pseudo_step!(s::Search, y, size)
    set_matrix!(s, y, 1 / size) && divide!(s.step, s, s.rates) || return Inf
    @. s.trial = y + s.step
    inside(s, s.trial) && evaluate!(s.trial_rates, s, s.trial) || return Inf
    moved = largest(s, s.step)
    moved > 0 || return 0.0
    s.correction .= view(s.trial_rates, eachindex(s.step)) .- s.step ./ size
    divide!(s.correction, s, s.correction) || return Inf
    return largest(s, s.correction) / moved
end

"""
Searches from `y` on, which ends as the point that was reached, with the `rates` there. Where the Jacobian is singular,
`direction` tells along which change of the states no rate changes.
"""
function steady!(y, rates, direction, s::Search, p, f, allowed::Int)
    set_interval!(set_parameters!(s.work, p), f, 1.0)
    s.left, s.broken = allowed, :OutOfRange
    start, continued, code = copy(y), false, :ConvergenceFailure
    try
        code = newton!(y, s)
        if !(code in (:Success, :NotFinite)) || (code == :NotFinite && evaluate!(s.rates, s, start))
            continued = true
            code = relax!(copyto!(y, start), s)
        end
    catch failure
        failure isa Failure || rethrow()
        code = failure.code
    end
    evaluate!(s.rates, s, y)
    copyto!(rates, s.rates)
    code == :Singular && find_direction!(direction, s, y)
    taken = allowed - s.left
    code == :Success && return taken, continued, code
    return taken, continued, code == :Stalled ? :ConvergenceFailure : code == :OutOfRange ? s.broken : code
end

"The direction in which the Jacobian at `y` changes rates least: one step of inverse iteration."
function find_direction!(direction, s::Search, y)
    s.left += 1
    set_matrix!(weigh!(s, y), y, 0.0) || return nothing
    size = maximum(abs, nonzeros(s.values); init = 0.0)
    s.left += 1
    set_matrix!(s, y, size > 0 ? 1e-14 * size : 1.0)
    singular!(s)
    all(isfinite, s.correction) && (direction .= s.correction ./ max(maximum(abs, s.correction), floatmin()))
    return nothing
end

struct SteadyResult
    y::Matrix{Float64}              # (states, members), the last point reached
    rates::Matrix{Float64}          # (states and fluxes, members)
    direction::Matrix{Float64}      # (states, members)
    codes::String                   # return code of each member, joined by commas
    iterations::Vector{Int}
    continued::Vector{Bool}
end

"""
    steady(model, y0, p, f, low, high, settings, seconds = Inf)

Steady states of all members, from `y0` on. `y0` holds `(states, members)`, `p` `(parameters, members)` and `f` `(forcings,
members)`, each as one vector; `low` and `high` bound each state. `settings.max_steps` is how many Jacobians each member
may take.
"""
function steady(model::Model, y0, p, f, low, high, s::Settings, seconds = Inf)
    members = length(y0) ÷ model.n_states
    return steady(model, plain(y0, :, members), plain(p, model.n_parameters, members), plain(f, model.n_forcings, members),
                  plain(low, :), plain(high, :), s, seconds)
end

function steady(model::Model, y0::Matrix{Float64}, p::Matrix{Float64}, f::Matrix{Float64}, low::Vector{Float64},
                high::Vector{Float64}, s::Settings, seconds = Inf)
    ready!(model)
    members, clock = size(y0, 2), Clock(seconds)
    y, rates, direction = copy(y0), fill(NaN, size_of(model), members), zeros(model.n_states, members)
    iterations, continued = zeros(Int, members), zeros(Bool, members)
    codes = with_search(model, low, high, s, clock) do set_up
        each_member(set_up, 1:members, members, clock) do search, m
            reached = y[:, m]
            iterations[m], continued[m], code =
                steady!(reached, view(rates, :, m), view(direction, :, m), search, view(p, :, m), view(f, :, m:m), s.max_steps)
            y[:, m] .= reached
            code == :Success || throw(Failure(code))
        end
    end
    return SteadyResult(y, rates, direction, join(codes, ","), iterations, continued)
end
