# Where the rates jump. At a `where` whose branches differ, the rates F change at once, by
#
#     D = F_after - F_before,        where what is compared, g(u, p, f, t), changes sign.
#
# The moment moves with all that g depends on, and with it the end of one piece and the start of the next: behind it,
#
#     du_after = du_before + D (dg along the directions) / (dg/dt along F_before),
#
# the jump condition of sensitivities (Rozenvasser 1967, Automat. Remote Control 28; Galan, Feehery and Barton 1999,
# Appl. Numer. Math. 31, 17), and its transpose backwards. The same holds for integrated fluxes. Such places are
# located (`discontinuities.jl`): the steps that cross them are as short as the resolution.

"""
A comparison that turned within a step: of which kernel, at which item; how far along the step; the jump of all
rates, over the speed of what is compared.
"""
struct Turn
    stage::Bool
    kernel::Int
    item::Int
    decision::Int
    share::Float64
    jump::Vector{Float64}
end

"What is needed to look for turns and to evaluate both sides of them, made where it is first needed."
struct Sides
    sides::Vector{Matrix{Float64}}      # of stages, then kernels: which side each decision is taken to be on
    events::Vector{Matrix{Float64}}     # what changes sign, and the side it is on, at the start of the step
    then::Vector{Matrix{Float64}}       # and at its end
    rates::NTuple{3,Vector{Float64}}
    u::NTuple{2,Vector{Float64}}
end

both(m::Model) = Iterators.flatten((m.stages, m.kernels))
both(w::Work) = Iterators.flatten((w.stages, w.kernels))

function Sides(m::Model)
    lock(m.lock) do
        for k in both(m)
            k.decisions > 0 && foreach(ready!, (k.sided!, k.event!, k.pull_event!))
        end
    end
    block(columns) = [zeros(items(k), columns * k.decisions) for k in both(m)]
    return Sides(block(1), block(2), block(2), ntuple(_ -> zeros(size_of(m)), 3), ntuple(_ -> zeros(m.n_states), 2))
end

"Evaluates what decides at the point set in `w`, with assigned values as they are there."
function events!(events, w::Work)
    assign_values!(w)
    for (k, s, e) in zip(both(w.model), both(w), events)
        k.decisions > 0 && k.event!(e, gather!(s.x, w.v, k, 1:k.active))
    end
    return events
end

"Rates at the point set in `w` with all decisions on given sides; leaves the assigned values of these."
function sided_rates!(rates, w::Work, sides)
    m, count = w.model, length(w.model.stages)
    forget!(w)
    on_side!(k, s, given) = k.decisions > 0 ? k.sided!(s.out, given, gather!(s.x, w.v, k, 1:k.active)) :
                            value!(k, s.out, gather!(s.x, w.v, k, 1:k.active))
    for (k, s, given) in zip(m.stages, w.stages, view(sides, 1:count))
        on_side!(k, s, given)
        assign!(w.v, s.out, k)
    end
    fill!(rates, 0.0)
    for (k, s, given) in zip(m.kernels, w.kernels, view(sides, count+1:length(sides)))
        on_side!(k, s, given)
        add_rates!(rates, s.out, k)
    end
    return rates
end

"The value of one event at the point set in `w`, where assigned values stay as they are."
function event(w::Work, a::Sides, turn)
    at = turn.stage ? turn.kernel : length(w.model.stages) + turn.kernel
    k, s = turn.stage ? (w.model.stages[at], w.stages[at]) : (w.model.kernels[turn.kernel], w.kernels[turn.kernel])
    k.event!(a.then[at], gather!(s.x, w.v, k, 1:k.active))
    return a.then[at][turn.item, turn.decision]
end

"""
The turns in a step of size `h` from `start` to `finish` at which the rates jump, in their order; the interval and
the parameters are set in `w`.
"""
function turns(w::Work{Float64}, a::Sides, start, finish, t, h)
    m, found = w.model, Turn[]
    copyto!.(a.events, events!(a.then, set_point!(w, start, t)))
    events!(a.then, set_point!(w, finish, t + h))
    for (at, (k, before, after)) in enumerate(zip(both(m), a.events, a.then))
        count = k.decisions
        for d in 1:count, i in 1:(count > 0 ? items(k) : 0)
            before[i, count+d] == after[i, count+d] && continue
            before[i, d] == 0.0 && continue    # it begins at the switch, on the other side of it
            stage = at <= length(m.stages)
            share = clamp(before[i, d] / (before[i, d] - after[i, d]), 0.0, 1.0)
            push!(found, Turn(stage, stage ? at : at - length(m.stages), i, d, share, Float64[]))
        end
    end
    isempty(found) && return found
    sort!(found; by = turn -> turn.share)
    for (sides, before) in zip(a.sides, a.events)
        sides .= view(before, :, size(sides, 2)+1:size(before, 2))
    end
    return filter!(turn -> !isempty(turn.jump), [settle(turn, w, a, start, finish, t, h) for turn in found])
end

"The turn with its jump, which is left empty where the rates do not jump; the decision is on its other side from then on."
function settle(turn::Turn, w::Work, a::Sides, start, finish, t, h)
    m = w.model
    before, after, beyond = a.rates
    u, moved = a.u
    @. u = start + turn.share * (finish - start)
    time = t + turn.share * h
    at = turn.stage ? turn.kernel : length(m.stages) + turn.kernel
    sides = a.sides[at]
    sided_rates!(before, set_point!(w, u, time), a.sides)
    here = event(w, a, turn)
    # How fast it changes along the rates before the turn, and beyond it.
    speed(rates) = (@. moved = u + h * rates; sided_rates!(beyond, set_point!(w, moved, time + h), a.sides);
                    (event(w, a, turn) - here) / h)
    towards = speed(view(before, 1:m.n_states))
    sides[turn.item, turn.decision] = 1.0 - sides[turn.item, turn.decision]
    sided_rates!(after, set_point!(w, u, time), a.sides)
    jump = after .- before
    maximum(abs, jump) > 1e-9 * max(maximum(abs, after), maximum(abs, before)) || return turn
    onwards = speed(view(after, 1:m.n_states))
    # Where what is compared has itself jumped across, the moment is that of another turn. A solution that is pushed
    # back, or only touches the place, has no derivative there; one that stays where it is beyond it has.
    abs(here) <= 4h * max(abs(towards), abs(onwards)) || throw(Failure(:JumpOfJump))
    towards != 0 && onwards / towards > -1e-9 || throw(Failure(:JumpNotCrossed))
    return Turn(turn.stage, turn.kernel, turn.item, turn.decision, turn.share, jump ./ towards)
end

"""
Takes the gradient to the states back through a turn in a step from `start`, to which it adds, as to `f_bar`;
gradients to parameters add up in the work.
"""
function pull_turn!(lambda, q_bar, f_bar, bar, turn::Turn, w::Work{Float64}, start, t)
    m, n = w.model, w.model.n_states
    weight = dot(lambda, view(turn.jump, 1:n)) + dot(q_bar, view(turn.jump, n+1:length(turn.jump)))
    weight == 0 && return nothing
    k, s = turn.stage ? (m.stages[turn.kernel], w.stages[turn.kernel]) : (m.kernels[turn.kernel], w.kernels[turn.kernel])
    assign_values!(set_point!(w, start, t))
    gather!(s.x, w.v, k, 1:k.active)
    s.bars[turn.item, :] .+= weight .* gradient(turn, k, s.x[turn.item:turn.item, :])
    fill!(bar, 0.0)
    scatter_bars!(bar, s.bars, k, 1:k.along)
    partials!(w)
    for stage in reverse(1:(turn.stage ? turn.kernel - 1 : length(m.stages)))
        pull_stage!(bar, w, stage)
    end
    lambda .+= view(bar, 1:n)
    add_forcing!(f_bar, bar, m, t / w.length)
    return nothing
end

"Gradient of what is compared to the variable inputs of its kernel, `x` being those of its item alone."
function gradient(turn::Turn, k::Kernel, x::Matrix{Float64})
    weights, bars = zeros(1, k.decisions), zeros(1, k.variable)
    weights[turn.decision] = 1.0
    k.pull_event!(bars, weights, x)
    return vec(bars)
end

"Takes directions, as partials of `u`, through a turn in a step from `start`; the parameters of `w` have partials too."
function push_turn!(u::Vector{DualNumber}, turn::Turn, w::Work{DualNumber}, start, t)
    m = w.model
    k = turn.stage ? m.stages[turn.kernel] : m.kernels[turn.kernel]
    # The directions at the turn are those of `u`, which a step this short has hardly changed.
    at = [DualNumber(start[l], ForwardDiff.partials(u[l])) for l in 1:m.n_states]
    assign_values!(set_point!(w, at, t))
    x = w.v[k.gather[turn.item:turn.item, :]]
    slopes = gradient(turn, k, ForwardDiff.value.(x))
    moved = sum(slopes[j] * ForwardDiff.partials(x[j]) for j in 1:k.variable)
    for l in eachindex(u)
        u[l] = DualNumber(ForwardDiff.value(u[l]), ForwardDiff.partials(u[l]) + turn.jump[l] * moved)
    end
    return nothing
end
