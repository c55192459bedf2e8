# Where a switch turns within a step of few states (`rosenbrock.jl`), and whether ranges hold at its end, for each lane.

"The lanes in which the step from `t` of size `h` has crossed a jump."
function switched_lanes(s::Stepper{T}, t, h) where {T}
    w, found = s.work, mask_type(T)(false)
    w.resolution > 0 && w.model.switches || return found
    assign_values!(set_point!(w, s.next, t + h))
    for (k, x, turned) in zip(both(w.model), both(w), s.turned)
        k.branches > 0 && (found |= switched_lanes!(turned, k, x, w))
    end
    w.looked = true     # until another point is set
    return found
end

# Of few states a switch is located at little cost: where the tolerance is tight, faint jumps count too, by a share of the
# slopes of so many times the tolerance.
const FAINT = 1000.0

"Fainter ones are not: what is left of them is near what slopes are known to, and steps would halve without end."
const FAINTEST = 1e-6

function switched_lanes!(turned, k::Kernel, s::Space, w::Work{T}) where {T}
    none = any_turn = mask_type(T)(false)
    fill!(turned, none)
    branch!(k, s.marks_then, gather!(s.x, w.v, k, 1:k.active))
    @inbounds for i in eachindex(s.marks)
        any_turn |= s.marks[i] != s.marks_then[i]
    end
    any_lane(any_turn) || return none
    slopes!(k, s.out, s.slopes_then, s.x)
    found = none
    for i in 1:items(k)
        jumps = jumped(s, k, i, min(JUMP, max(FAINTEST, FAINT * w.rtol)))
        found |= jumps
        for j in axes(turned, 2)
            turned[i, j] = jumps & (s.marks[i, j] != s.marks_then[i, j])
        end
    end
    return found
end

# Bisections of a step in search of a switch.
const HALVINGS = 12

"""
The share of a step of size `h` from `t` after which the first switch turns of those that turned with a jump; found on the
polynomial through the stages.
"""
function locate(s::Stepper{T}, t, h) where {T}
    w, before, behind = s.work, zero(T), one(T)
    set_curve!(s)
    # Closer than this it needs not be known.
    near = 0.25 * w.resolution * length_of(w)
    for _ in 1:HALVINGS
        far = near < (behind - before) * h
        any_lane(far) || break
        share = 0.5 * (before + behind)
        assign_values!(set_point!(w, between!(s.space.at, s, share), t + share * h))
        beyond = mask_type(T)(false)
        for (k, x, turned) in zip(both(w.model), both(w), s.turned)
            k.branches > 0 && (beyond |= turned_lanes(turned, k, x, w))
        end
        before, behind = pick(far & !beyond, share, before), pick(far & beyond, share, behind)
    end
    return before
end

function turned_lanes(turned, k::Kernel, s::Space, w::Work{T}) where {T}
    found = mask_type(T)(false)
    branch!(k, s.marks_then, gather!(s.x, w.v, k, 1:k.active))
    @inbounds for j in axes(s.marks, 2), i in axes(s.marks, 1)
        any_lane(turned[i, j]) || continue
        found |= turned[i, j] & (s.marks[i, j] != s.marks_then[i, j])
    end
    return found
end

"Computes what is the same everywhere within the last step."
function set_curve!(s::Stepper{T}) where {T}
    @inbounds for l in axes(s.curve, 2), order in axes(s.curve, 1)
        part = zero(T)
        for i in 1:stage_count(s.tab)
            part = fused(s.tab.H[order, i], s.k[i, l], part)
        end
        s.curve[order, l] = part
    end
    return nothing
end

"States within a step, after a share of it."
function between!(u, s::Stepper{T}, share) where {T}
    rest = 1.0 - share
    @inbounds for l in eachindex(u)
        sum = zero(T)
        for order in size(s.curve, 1):-1:1
            sum = fused(share, sum, s.curve[order, l])
        end
        u[l] = rest * s.u[l] + share * (s.next[l] + rest * sum)
    end
    return u
end

"The lanes whose guards do not hold at the point set in `w`."
function outside_lanes(w::Work{T}) where {T}
    found = mask_type(T)(false)
    for (k, x) in zip(w.model.guards, w.guards)
        value!(k, x.out, gather!(x.x, w.v, k, 1:k.along))
        for i in 1:items(k)
            found |= !inside(x.out[i, 1], x.out[i, 2], x.out[i, 3], w.rtol, atol_of(w, k, i))
        end
    end
    return found
end

"The code of the guard that does not hold in a lane, at time `t` of its interval."
function range_left(w::Work, l, t)
    for (number, k, x) in zip(eachindex(w.guards), w.model.guards, w.guards), i in 1:items(k)
        low, value, high = ntuple(c -> get_lane(x.out, i + (c - 1) * items(k), l), 3)
        inside(low, value, high, w.rtol, atol_of(w, k, i)) ||
            return out_of_range(number - 1, i - 1, low, value, high, t)
    end
end

work_of(s::Stepper) = s.work
