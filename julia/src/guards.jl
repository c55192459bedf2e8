# Guards: ranges outside of which the model means nothing. Looked at after every step that was taken.

# How far out of its range an error of the solver may take a value: in tolerances.
const SLACK = 10.0

"""
Throws a `Failure` where a range does not hold at `u`, the end of a step, at time `t` of the interval. Its code tells
which guard and item it was, both counted from zero, and lower bound, value, upper bound and time.
"""
function guard!(w::Work, u, t)
    isempty(w.model.guards) && return nothing
    set_point!(w, u, t)
    for (number, k, s) in zip(eachindex(w.guards), w.model.guards, w.guards)
        value!(k, s.out, gather!(s.x, w.v, k, 1:k.along))
        for i in 1:items(k)
            low, value, high = s.out[i, 1], s.out[i, 2], s.out[i, 3]
            inside(low, value, high, w.rtol, atol_of(w, k, i)) || throw(Failure(out_of_range(number - 1, i - 1, low, value, high, t)))
        end
    end
    return nothing
end

@inline inside(low, value, high, rtol, atol) =
    (low - SLACK * (rtol * abs(low) + atol) <= value) & (value <= high + SLACK * (rtol * abs(high) + atol))

"The absolute tolerance of an item of a guard: the largest of the states that it reads."
function atol_of(w::Work, k::Kernel, item)
    isempty(w.atols) && return w.atol
    return maximum((w.atols[at] for at in view(k.gather, item, :) if at <= w.model.n_states); init = w.atol)
end

out_of_range(guard, item, numbers...) = Symbol(join(("OutOfRange", guard, item, Float64.(ForwardDiff.value.(numbers))...), ';'))

"""
Has a solver that steps by itself look at the guards: the condition of a callback is asked for after every step taken.
Multistep methods keep a Jacobian for many steps, but what an error counts is that of the state it is in.
"""
watched(w::Work, s::Settings) = SciMLBase.DiscreteCallback(
    (u, t, integrator) -> (guard!(w, u, t); look!(w, u, t); false), identity; save_positions = (false, false))

function look!(w::Work{Float64}, u, t)
    isempty(w.model.controls) || jacobian!(set_point!(w, u, t))
    return emphasise!(w, u)
end

look!(w::Work, u, t) = nothing
