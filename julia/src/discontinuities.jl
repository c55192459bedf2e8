# Switches: where a `min`, a branch or an absolute value turns, slopes jump, and at a branch the rates
# themselves may. An error estimate sees little of it, since the solution itself is smooth enough, but the
# derivative of a step across it is wrong by its size. Steps across such a jump are therefore refused until
# they are short. (What a jump of the rates adds to derivatives is in `jumps.jl`.)

# A jump is a change of the largest slope by more than this share, or of the largest result by this one,
# beyond what the slopes at both ends of the step explain.
const JUMP = 0.1
const LEAP = 1e-4

"Notes on which side the switches are at the start of a step; its Jacobian has just been evaluated."
function mark!(w::Work{Float64}, t)
    w.step_start = t
    w.model.switches && each((k, s) -> mark!(k, s, w.looked), w)
    return nothing
end

mark!(w::Work, t) = nothing

function mark!(k::Kernel, s::Space, looked)
    k.branches > 0 || return nothing
    # At the end of the step before, which is here, it was seen on which side they are.
    looked ? keep!(s.marks, s.marks_then) : branch!(k, s.marks, s.x)
    keep!(s.x_start, s.x)
    keep!(s.out_start, s.out)
    return nothing
end

function keep!(kept, x)
    @inbounds @simd for i in eachindex(kept)
        kept[i] = x[i]
    end
    return kept
end

"The same for lanes, each at the start of a step of its own."
function note_sides!(w::Work)
    w.model.switches || return nothing
    for (k, s) in zip(w.model.stages, w.stages)
        mark!(k, s, w.looked)
    end
    for (k, s) in zip(w.model.kernels, w.kernels)
        mark!(k, s, w.looked)
    end
    return nothing
end

"May a step of size `h` cross a jump?"
short(w::Work, h) = h <= w.resolution * length_of(w)

"Has a step, now at `t` and `u`, crossed a jump while longer than the resolution?"
function switched(u, w::Work{Float64}, t)
    w.resolution > 0 && w.model.switches || return false
    short(w, t - w.step_start) && return false
    set_point!(w, u, t)
    assign_values!(w)
    if any_switched(w)
        w.refused += 1
        return true
    end
    w.looked = true
    return false
end

function any_switched(w::Work{Float64})
    for (k, s) in zip(w.model.stages, w.stages)
        k.branches > 0 && switched(k, s) && return true
    end
    for (k, s) in zip(w.model.kernels, w.kernels)
        k.branches > 0 || continue
        gather!(s.x, w.v, k, 1:k.active)
        switched(k, s) && return true
    end
    return false
end

"""
The code of a solve that has taken the largest number of steps. What a switch decides by, such as which of two heads is higher, may
be smaller than what the tolerance leaves unknown of it: then it turns again and again, and steps are short or refused for that.
"""
function out_of_steps(w::Work, most)
    10 * w.refused < most && return :MaxIters
    return Symbol("MaxIters; $(w.refused) were refused since a switch turned within them: what it decides by is less than the tolerance lets be known")
end

function switched(k::Kernel, s::Space)
    branch!(k, s.marks_then, s.x)
    s.marks_then == s.marks && return false
    slopes!(k, s.out, s.slopes_then, s.x)
    return any(i -> jumped(s, k, i), 1:items(k))
end

"Whether, or in which lanes, a switch of an item has turned and slopes have jumped, by a `share` of the largest, or results."
function jumped(s::Space{T}, k::Kernel, i, share=JUMP) where {T}
    turned = leaped = mask_type(T)(false)
    for j in axes(s.marks, 2)
        turned |= s.marks[i, j] != s.marks_then[i, j]
    end
    any_lane(turned) || return turned
    largest = change = zero(T)
    for o in 1:outputs(k)
        leap = s.out[i, o] - s.out_start[i, o]
        for j in 1:k.active
            a, b = s.slopes[i, (o-1)*k.ways+j], s.slopes_then[i, (o-1)*k.ways+j]
            largest, change = greater(largest, greater(abs(a), abs(b))), greater(change, abs(b - a))
            leap -= 0.5 * (a + b) * (s.x[i, j] - s.x_start[i, j])
        end
        leaped |= LEAP * greater(abs(s.out[i, o]), abs(s.out_start[i, o])) < abs(leap)
    end
    return turned & (leaped | (share * largest < change))
end
