# Implicit Euler with steps of a stated size, as daily schemes of hydrology have it (Clark and Kavetski 2010, Water Resour.
# Res. 46, W10510): each step from u to u_next, with the forcing at its end,
#
#     u_next = u + h F(u_next),        q = h Q(u_next),
#
# is solved to rounding by Newton's method, and integrated fluxes q take its last correction along, so that balances
# close. The method is of first order, and nobody controls the error of its steps. Gradients are those of the steps: a
# transposed solve for each.

const EULER = "implicit_euler"

# Newton's method has converged where it corrects each state by no more than this share of it, which that last correction
# squares; or where what is left of the equation is no more than rounding: such a share of the terms that it is a sum of, and
# of the largest flux, since rain and infiltration cancel in the rate of ponded water.
const CORRECTION, ROUNDING, OF_FLUXES = 1e-10, 1e-13, 4e-15
# Iterations of one attempt, and of all attempts at one step.
const ATTEMPT_ITERATIONS, STEP_ITERATIONS = 15, 600
# Where an attempt fails, the same equation is solved with shorter steps, from the start on, each the guess of a longer one:
# by how much shorter, how short at the least, and by how much longer the next is.
const SHORTER, SHORTEST_SHARE, LONGER = 4.0, 1e-6, 3.0

"What steps of one member read and overwrite."
mutable struct EulerSpace{S}
    const work::Work{Float64}
    const solver::S                     # with J - I/h, of the states alone (`step_matrix.jl`)
    const start::Vector{Float64}        # of the step
    const u::Vector{Float64}            # where it has come to
    const best::Vector{Float64}         # the end of the longest step that was solved
    const rates::Vector{Float64}
    const right::Vector{Float64}        # what is left of the equation, over h
    const terms::Vector{Float64}        # sizes of what that is a sum of
    const change::Vector{Float64}
    const fluxes::Vector{Float64}       # integrated over the step
    const forcing::Matrix{Float64}      # at its end, (forcings, 1)
    left::Int                           # iterations that are still allowed
end

function EulerSpace(m::Model, clock::Clock; adjoint = false)
    w, fronts = Work{Float64}(m, false; adjoint, clock), fronts_of(m)
    # Few states have factors of their own; the barrier keeps what follows from being compiled for all of them at once.
    solver = is_small(m) ? SmallSolver(StepSpace{Float64}(m)) : fronts === nothing ? BothFactors(m) : OneFactor(fronts, m)
    states() = zeros(m.n_states)
    return EulerSpace(w, Base.inferencebarrier(solver), states(), states(), states(), zeros(size_of(m)), states(), states(), states(),
                      zeros(m.n_fluxes), zeros(m.n_forcings, 1), 0)
end

divide_step!(s::SmallSolver, b) = divide!(b, s.space.factors)

"How many steps an interval is divided into: as few as are no longer than asked, all of one size."
steps_within(length, s::Settings) = max(1, ceil(Int, length / s.step - 1e-9))

"Sets the forcing that holds at such a fraction of an interval, and the size of the step; `forcing` is where it is kept."
function set_end!(w::Work, forcing, f, fraction, h)
    @inbounds for i in axes(f, 1)
        forcing[i, 1] = f[i, begin] + fraction * (f[i, end] - f[i, begin])
    end
    return set_interval!(w, forcing, h)
end

"Goes from `e.u`, the guess, to the solution of a step of size `h`; whether it gets there."
function newton!(e::EulerSpace, h)
    w, u = e.work, e.u
    for _ in 1:ATTEMPT_ITERATIONS
        tick!(w)
        e.left > 0 || throw(Failure(:ConvergenceFailure))
        e.left -= 1
        jacobian!(set_point!(w, u, 0.0))
        known_rates!(e.rates, w)
        all(isfinite, e.rates) && all(isfinite, w.entries) || return false
        set_matrix!(e.solver, w, 1 / h)
        @inbounds for l in eachindex(u)
            e.right[l] = e.change[l] = (u[l] - e.start[l]) / h - e.rates[l]
        end
        change = divided(e)
        change !== nothing && all(isfinite, change) || return false
        done = converged!(e, change, h)
        integrate!(e, change, h)
        @inbounds for l in eachindex(u)
            u[l] += change[l]
        end
        done && return true
    end
    return false
end

"What is left of the equation divided by the matrix that is set; nothing where that is singular."
function divided(e::EulerSpace)
    try
        return divide_step!(e.solver, e.change)
    catch failure
        failure isa SingularException || failure isa Failure && failure.code === :SingularMatrix || rethrow()
        return nothing
    end
end

"Whether the last of the corrections by `change`, about to be taken, is small enough, or there was nothing to correct."
function converged!(e::EulerSpace, change, h)
    u, start = e.u, e.start
    settled(l) = abs(change[l]) <= CORRECTION * max(abs(u[l] + change[l]), abs(start[l]))
    all(settled, eachindex(u)) && return true
    @inbounds for l in eachindex(u)
        e.terms[l] = (abs(u[l]) + abs(start[l])) / h
    end
    rows, entries, pattern = rowvals(e.work.model.pattern), e.work.entries, e.work.model.pattern
    @inbounds for column in eachindex(u), at in nzrange(pattern, column)
        rows[at] <= length(u) && (e.terms[rows[at]] += abs(entries[at] * u[column]))
    end
    of_fluxes = OF_FLUXES * maximum(abs, view(e.rates, length(u)+1:length(e.rates)); init = 0.0)
    return all(l -> settled(l) || abs(e.right[l]) <= ROUNDING * e.terms[l] + of_fluxes, eachindex(u))
end

"Integrated fluxes at the end of a correction: linear, as that is, so that what states lose fluxes have, to rounding."
function integrate!(e::EulerSpace, change, h)
    m = e.work.model
    n, rows = m.n_states, rowvals(m.pattern)
    @inbounds for l in eachindex(e.fluxes)
        e.fluxes[l] = e.rates[n+l]
    end
    @inbounds for column in 1:n, at in nzrange(m.pattern, column)
        rows[at] > n && (e.fluxes[rows[at]-n] += e.work.entries[at] * change[column])
    end
    e.fluxes .*= h
    return nothing
end

"Takes a step of size `h` from `e.start` to `e.u`, with its integrated fluxes."
function euler_step!(e::EulerSpace, h)
    e.left = STEP_ITERATIONS
    newton!(set_guess!(e, e.start), h) && return nothing
    rates!(e.rates, set_point!(e.work, e.start, 0.0))
    all(isfinite, e.rates) || throw(Failure(:NotFinite))
    copyto!(e.best, e.start)
    solved, more = 0.0, h / SHORTER
    while true
        if newton!(set_guess!(e, e.best), solved + more)
            solved + more >= h && return nothing
            solved += more
            copyto!(e.best, e.u)
            more = min(LONGER * more, h - solved)
        else
            more /= SHORTER
            more < SHORTEST_SHARE * h && throw(Failure(:ConvergenceFailure))
        end
    end
end

set_guess!(e::EulerSpace, u) = (copyto!(e.u, u); e)

"Solves `interval` of one member from its first states in `y`; `points` has a column for the states at the end of each step."
function euler_interval!(points, q, e::EulerSpace, breaks, f, y, j, s::Settings)
    length = breaks[j+1] - breaks[j]
    count = size(points, 2)
    h = length / count
    fill!(q, 0.0)
    copyto!(e.start, view(y, :, j))
    for i in 1:count
        set_end!(e.work, e.forcing, view(f, :, :, j), i / count, h)
        euler_step!(e, h)
        guard!(e.work, e.u, i * h)
        copyto!(view(points, :, i), e.u)
        copyto!(e.start, e.u)
        q .+= e.fluxes
    end
    all(isfinite, q) && all(isfinite, e.u) || throw(Failure(:NotFinite))
    return nothing
end

"What is kept of a member: states at the ends of the steps of each interval, or nothing, where they take too much memory."
struct EulerRecord
    points::Union{Nothing,Vector{Matrix{Float64}}}
end

"Solves one member; returns its record where `keep` is set."
function euler!(y, q, e::EulerSpace, breaks, p, f, s::Settings, keep::Bool, counts::Counts)
    set_parameters!(set_tolerances!(e.work, s), p)
    n, kept, used = e.work.model.n_states, keep ? Matrix{Float64}[] : nothing, 0.0
    for j in 1:length(breaks)-1
        count = steps_within(breaks[j+1] - breaks[j], s)
        count <= s.max_steps || throw(Failure(:MaxIters))
        points = zeros(n, count)
        euler_interval!(points, view(q, :, j), e, breaks, f, y, j, s)
        y[:, j+1] .= view(points, :, count)
        counts.steps += count
        used += sizeof(points)
        kept === nothing || (used > s.memory ? (kept = nothing) : push!(kept, points))
    end
    return keep ? EulerRecord(kept) : nothing
end

"The states at the ends of the steps of an interval."
function points_of(kept::EulerRecord, e::EulerSpace, breaks, f, y, j, s::Settings)
    kept.points === nothing || return kept.points[j]
    points = zeros(e.work.model.n_states, steps_within(breaks[j+1] - breaks[j], s))
    euler_interval!(points, zeros(e.work.model.n_fluxes), e, breaks, f, y, j, s)
    return points
end

"Sets the matrix of a step at its end `u`, where the forcing of the step holds."
set_end_matrix!(e::EulerSpace, u, h) = (jacobian!(set_point!(e.work, u, 0.0)); set_matrix!(e.solver, e.work, 1 / h))

"""
Pulls `y_bar` `(states, breaks)` and `q_bar` `(fluxes, intervals)` of one member back through its steps: with `lambda` the
gradient to the end of one, `(I/h - J)' mu = lambda + h Q' q_bar`; `mu` over h goes on, and `[mu; h q_bar]` is pulled to the inputs.
"""
function euler_adjoint!(y0_bar, p_bar, f_bar, e::EulerSpace, breaks, p, f, kept::EulerRecord, y, y_bar, q_bar, s::Settings)
    w, m = set_parameters!(set_tolerances!(e.work, s), p), e.work.model
    n, rows = m.n_states, rowvals(m.pattern)
    lambda, bar = zeros(n), zeros(m.n_values)
    for j in length(breaks)-1:-1:1
        lambda .+= view(y_bar, :, j + 1)
        seeds = view(q_bar, :, j)
        all(iszero, lambda) && all(iszero, seeds) && continue
        points = points_of(kept, e, breaks, f, y, j, s)
        count = size(points, 2)
        h = (breaks[j+1] - breaks[j]) / count
        for i in count:-1:1
            tick!(w)
            set_end!(w, e.forcing, view(f, :, :, j), i / count, h)
            set_end_matrix!(e, view(points, :, i), h)
            e.change .= .-lambda
            @inbounds for column in 1:n, at in nzrange(m.pattern, column)
                rows[at] > n && (e.change[column] -= h * w.entries[at] * seeds[rows[at]-n])
            end
            mu = divide_transposed_step!(e.solver, e.change)
            @inbounds for l in 1:n
                e.rates[l] = mu[l]
                lambda[l] = mu[l] / h
            end
            @inbounds for l in eachindex(seeds)
                e.rates[n+l] = h * seeds[l]
            end
            add_forcing!(view(f_bar, :, :, j), pull!(bar, w, e.rates), m, i / count)
        end
    end
    collect_parameters!(p_bar, bar, w)
    y0_bar .= lambda .+ view(y_bar, :, 1)
    all(isfinite, y0_bar) && all(isfinite, p_bar) && all(isfinite, f_bar) || throw(Failure(:NotFinite))
    return nothing
end

"""
Pushes the directions of one member through its steps: their moves are `(I/h - J) u_next' = u'/h + F'`, where `F'` are
partials of dual numbers. Fills in `y_dot` `(states, breaks, directions)`, given its first column, and `q_dot`.
"""
function euler_tangent!(y_dot, q_dot, p_dot, f_dot, (e, w), breaks, p, f, kept::EulerRecord, y, s::Settings)
    set_parameters!(set_tolerances!(e.work, s), p)
    m, n = w.model, w.model.n_states
    rates, forcing, moves = zeros(DualNumber, size_of(m)), zeros(DualNumber, m.n_forcings, 1), zeros(n, size(y_dot, 3))
    partial(l, d) = ForwardDiff.partials(rates[l], d)
    fill!(q_dot, 0.0)
    moves .= view(y_dot, :, 1, :)
    for j in 1:length(breaks)-1
        points = points_of(kept, e, breaks, f, y, j, s)
        count = size(points, 2)
        h = (breaks[j+1] - breaks[j]) / count
        for i in 1:count
            tick!(e.work)
            u = points[:, i]
            set_end!(e.work, e.forcing, view(f, :, :, j), i / count, h)
            set_end_matrix!(e, u, h)
            for low in 0:PARTIALS:size(moves, 2)-1
                some = low+1:min(low + PARTIALS, size(moves, 2))
                set_parameters!(w, seeded(p, p_dot, low))
                set_end!(w, forcing, seeded(view(f, :, :, j), view(f_dot, :, :, j, :), low), i / count, h)
                rates!(rates, set_point!(w, DualNumber.(u), 0.0))
                for d in some
                    e.change .= .-view(moves, :, d) ./ h .- (partial(l, d - low) for l in 1:n)
                    moves[:, d] .= divide_step!(e.solver, e.change)
                end
                rates!(rates, set_point!(w, seeded(u, moves, low), 0.0))
                for d in some, l in axes(q_dot, 1)
                    q_dot[l, j, d] += h * partial(n + l, d - low)
                end
            end
        end
        y_dot[:, j+1, :] .= moves
    end
    all(isfinite, y_dot) && all(isfinite, q_dot) || throw(Failure(:NotFinite))
    return nothing
end

# All members, as the functions of the same name do it for other solvers (`batch.jl`).

function euler_forward(model::Model, breaks, p, f, y, q, s::Settings, keep::Bool, seconds)
    ready!(model)
    members, clock = size(y, 3), Clock(seconds)
    kept, counts = Vector{Any}(nothing, members), [Counts() for _ in 1:members]
    codes = each_member(() -> EulerSpace(model, clock), 1:members, members, clock) do e, m
        kept[m] = euler!(view(y, :, :, m), view(q, :, :, m), e, breaks, view(p, :, m), view(f, :, :, :, m), s, keep, counts[m])
    end
    return results(y, q, codes, counts, 0, Tape(breaks, p, f, y, s, kept))
end

function euler_backward(model::Model, t::Tape, y_bar, q_bar, good, seconds)
    ready!(model; adjoint = "gauss")
    y0_bar, p_bar, f_bar, clock = zeros(model.n_states, size(y_bar, 3)), zero(t.p), zero(t.f), Clock(seconds)
    codes = each_member(() -> EulerSpace(model, clock; adjoint = true), good, size(y_bar, 3), clock) do e, m
        euler_adjoint!(view(y0_bar, :, m), view(p_bar, :, m), view(f_bar, :, :, :, m), e, t.breaks, view(t.p, :, m),
                       view(t.f, :, :, :, m), t.kept[m], view(t.y, :, :, m), view(y_bar, :, :, m), view(q_bar, :, :, m), t.settings)
    end
    clear_failed!(codes, 0, y0_bar, p_bar, f_bar)
    return BackwardResult(y0_bar, p_bar, f_bar, join(codes, ","))
end

function euler_tangent(model::Model, t::Tape, y0_dot, p_dot, f_dot, good, seconds)
    ready!(model; adjoint = "forward")
    ready!(model)
    y_dot = zeros(size(t.y)..., size(y0_dot, 3))
    q_dot, clock = zeros(model.n_fluxes, size(t.y, 2) - 1, size(t.y, 3), size(y0_dot, 3)), Clock(seconds)
    set_up() = (EulerSpace(model, clock), Work{DualNumber}(model, false; clock))
    codes = each_member(set_up, good, size(t.y, 3), clock) do spaces, m
        y_dot[:, 1, m, :] .= view(y0_dot, :, m, :)
        euler_tangent!(view(y_dot, :, :, m, :), view(q_dot, :, :, m, :), view(p_dot, :, m, :), view(f_dot, :, :, :, m, :), spaces,
                       t.breaks, view(t.p, :, m), view(t.f, :, :, :, m), t.kept[m], view(t.y, :, :, m), t.settings)
    end
    clear_failed!(codes, 1, y_dot, q_dot)
    return TangentResult(y_dot, q_dot, join(codes, ","))
end
