# Switches: where a `min`, a branch or an absolute value turns, slopes jump. An error estimate sees little
# of it, since the solution itself is smooth enough, but the derivative of a step across it is wrong by
# its size. Steps across a jump of the slopes are therefore refused until they are short.

# A jump is a change of the largest slope by more than this share.
const JUMP = 0.1

"Notes on which side the switches are at the start of a step; its Jacobian has just been evaluated."
function mark!(w::Work{Float64}, t)
    w.step_start = t
    for (k, s) in zip(w.model.kernels, w.kernels)
        k.branches > 0 && k.branch!(s.marks, s.x)
    end
    return nothing
end

mark!(w::Work, t) = nothing

"Has a step, now at `t` and `u`, crossed a jump of the slopes while longer than the resolution?"
function switched(u, w::Work{Float64}, t)
    w.resolution > 0 && any(k -> k.branches > 0, w.model.kernels) || return false
    t - w.step_start > w.resolution * w.length || return false
    set_point!(w, u, t)
    assign_closures!(w)
    for (k, s) in zip(w.model.kernels, w.kernels)
        k.branches > 0 || continue
        k.branch!(s.marks_then, gather!(s.x, w.v, k, 1:k.active))
        s.marks_then == s.marks && continue
        k.slopes!(s.out, s.slopes_then, s.x)
        any(i -> jumped(s, k, i), 1:items(k)) && return true
    end
    return false
end

function jumped(s::Space, k::Kernel, i)
    any(j -> s.marks[i, j] != s.marks_then[i, j], axes(s.marks, 2)) || return false
    largest = change = 0.0
    for o in 1:outputs(k), j in 1:k.active
        a, b = s.slopes[i, (o-1)*k.along+j], s.slopes_then[i, (o-1)*k.along+j]
        largest, change = max(largest, abs(a), abs(b)), max(change, abs(b - a))
    end
    return change > JUMP * largest
end
