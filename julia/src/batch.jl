# Batches: one call for all members, on threads where Julia has more than one.

struct Tape
    breaks::Vector{Float64}
    p::Matrix{Float64}
    f::Array{Float64,4}
    y::Array{Float64,3}
    settings::Settings
    kept::Vector{Any}     # per member: steps, dense solutions, transition matrices, or nothing
end

"Bytes kept for the discrete adjoint, all members together."
kept_bytes(t::Tape) = sum(k -> k isa MemberRecord && k.record !== nothing ? bytes(k.record) : 0.0, t.kept; init = 0.0)

struct ForwardResult
    y::Array{Float64,3}
    q::Array{Float64,3}
    codes::String           # return code of each member, joined by commas
    steps::Vector{Int}
    rejections::Vector{Int}
    shares::Vector{Float64} # of the tolerances, the smallest that a step of a member was taken with
    lockstep::Int           # members that were solved in lockstep
    tape::Tape
end

struct BackwardResult
    y0::Matrix{Float64}
    p::Matrix{Float64}
    f::Array{Float64,4}
    codes::String
end

struct TangentResult
    y::Array{Float64,4}
    q::Array{Float64,4}
    codes::String
end

"""
Runs `work(workspace, member)` for `members`, in as many tasks as there are threads, each with a `workspace` of its
own that `set_up` makes. Returns a return code per member of `n`. Once `clock` stops, no member is begun.
"""
function each_member(work, set_up, members, n::Int, clock::Clock)
    codes, next = fill("Success", n), Threads.Atomic{Int}(1)
    function run()
        workspace, at = nothing, next_look(clock)
        while (i = Threads.atomic_add!(next, 1)) <= length(members)
            m = members[i]
            try
                at = look(clock, at)
                workspace === nothing && (workspace = set_up())
                work(workspace, m)
            catch failure
                code = failure isa Failure ? failure.code :
                       failure isa SingularException ? :SingularMatrix : rethrow()
                codes[m] = String(code)
                workspace = nothing    # whatever the failure left in it
            end
        end
    end
    in_tasks(run, length(members), clock)
    return codes
end

"Zeros for the members that failed; in the arrays, so many axes follow that of the members."
function clear_failed!(codes, after, arrays...)
    for m in eachindex(codes), x in arrays
        codes[m] == "Success" || fill!(selectdim(x, ndims(x) - after, m), 0)
    end
    return nothing
end

# The door: whatever Python hands over is one long vector, and becomes a plain array here, once; nothing is written into it.
plain(x::AbstractVector, first, rest...) = reshape(convert(Vector{Float64}, x), first, rest...)
plain(x::AbstractArray) = Array{Float64}(x)
"The same of what is not kept: without a copy, where there is a plain vector already."
borrowed(x::Vector{Float64}, sizes...) = reshape(x, sizes...)
borrowed(x::AbstractVector, sizes...) = plain(x, sizes...)
integers(x::AbstractVector, first, rest...) = reshape(Vector{Int}(x), first, rest...)

"""
    build(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, stages, kernels, controls...) -> Model

A model from kernels given as tuples of the arguments of `Kernel`, arrays as long vectors and the number
of items before them; so are `guards`, after `controls`. Those of `stages` come after `adds`, `partials` and `columns`,
or are the arguments of `network_stage`.
"""
function build(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, stages, kernels,
               states = Int[], values = Int[], sizes = Float64[], guards = ())
    # Slopes and their adjoint are evaluated once in a step; of few states they are most of it.
    once(source, at) = n_states > SMALL && at in (2, 4) ? in_haste(String(source)) : String(source)
    load((sources, items, gather, output, targets, weights, (active, along, variable, ways, branches, decisions)), further = (;)) =
        Kernel(Any[once(source, at) for (at, source) in enumerate(sources)], integers(gather, items, :), integers(output, :), integers(targets, items, :),
               plain(weights, items, :), active, along, variable, branches, decisions; ways, further...)
    program((adds, partials, columns, kernel)) =
        load(kernel, (; adds, partials = String(partials), columns = integers(columns, :)))
    network((items, widths, biases, activations, shapes, first, gather, targets)) =
        network_stage(items, integers(widths, :), integers(biases, :), integers(activations, :), plain(shapes, :), first,
                      integers(gather, items, :), integers(targets, items, :))
    stage(arguments) = length(arguments) == 4 ? program(arguments) : network(arguments)
    return Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, plain(constants, :), Kernel[stage(k) for k in stages],
                 Kernel[load(k) for k in kernels], (integers(states, :), integers(values, :), plain(sizes, :)),
                 Kernel[load(k) for k in guards])
end

"""
    forward(model, breaks, y0, p, f, nodes, settings, sensitivity, seconds = Inf)

Solves all members. `y0` holds `(states, members)`, `p` `(parameters, members)` and `f`
`(forcings, nodes, intervals, members)`, each as one vector. `sensitivity` says what is kept for
`backward`: "none", "discrete", "gauss" or "forward". Members not finished after `seconds` fail; compiling
the model, once, does not count.
"""
function forward(model::Model, breaks, y0, p, f, nodes::Int, settings::Settings, sensitivity::String,
                 seconds = Inf)
    intervals = length(breaks) - 1
    members = length(y0) ÷ model.n_states
    return forward(model, plain(breaks, :), plain(y0, :, members), plain(p, model.n_parameters, members),
                   plain(f, model.n_forcings, nodes, intervals, members), settings, sensitivity, seconds)
end

function forward(model::Model, breaks::Vector{Float64}, y0::Matrix{Float64}, p::Matrix{Float64},
                 f::Array{Float64,4}, settings::Settings, sensitivity::String, seconds = Inf)
    members, intervals = size(y0, 2), length(breaks) - 1
    y = fill(NaN, model.n_states, intervals + 1, members)
    q = fill(NaN, model.n_fluxes, intervals, members)
    y[:, 1, :] .= y0
    settings.solver == EULER && return euler_forward(model, breaks, p, f, y, q, settings, sensitivity != "none", seconds)
    kept = Vector{Any}(nothing, members)
    counts = [Counts() for _ in 1:members]
    stepping = steps_here(settings.solver) && sensitivity in ("none", "discrete")
    T = stepping ? number_type(model, members) : Float64
    ready!(model, T, sensitivity)
    clock = Clock(seconds)
    if stepping && is_small(model)
        codes = solve_small!(T, model, Batch(breaks, p, f, y, q, 1:intervals), settings, kept, counts, clock; keeps = sensitivity == "discrete")
        return results(y, q, codes, counts, T === Lanes ? members : 0, Tape(breaks, p, f, y, settings, kept))
    end
    set_up() = stepping ? Workspace(model, size(f, 2) == 2, settings, clock) : model
    codes = each_member(set_up, 1:members, members, clock) do workspace, m
        into, given = (view(y, :, :, m), view(q, :, :, m)), (workspace, breaks, view(p, :, m), view(f, :, :, :, m), settings)
        kept[m] = stepping ? forward_steps!(into..., given..., sensitivity == "discrete", counts[m]) :
                  sensitivity == "forward" ? forward_transitions!(into..., given..., counts[m], clock) :
                  forward!(into..., given..., sensitivity == "gauss", counts[m], clock)
    end
    return results(y, q, codes, counts, 0, Tape(breaks, p, f, y, settings, kept))
end

results(y, q, codes, counts, lockstep, tape) =
    ForwardResult(y, q, join(codes, ","), [c.steps for c in counts], [c.rejections for c in counts], [c.share for c in counts],
                  lockstep, tape)

"""
    backward(model, tape, y_bar, q_bar, good, seconds = Inf)

Pulls gradients back for the members numbered in `good`; the others get zeros, and so
do those not finished after `seconds`.
"""
function backward(model::Model, tape::Tape, y_bar, q_bar, good, seconds = Inf)
    return backward(model, tape, plain(y_bar, size(tape.y)...),
                    plain(q_bar, model.n_fluxes, size(tape.y, 2) - 1, size(tape.y, 3)), integers(good, :), seconds)
end

function backward(model::Model, tape::Tape, y_bar::Array{Float64,3}, q_bar::Array{Float64,3}, good::Vector{Int}, seconds = Inf)
    tape.settings.solver == EULER && return euler_backward(model, tape, y_bar, q_bar, good, seconds)
    y0_bar, p_bar, f_bar = zeros(model.n_states, size(y_bar, 3)), zero(tape.p), zero(tape.f)
    stepping = any(kept -> kept isa MemberRecord, tape.kept)
    straight_on = runs_in_lanes(model) ? filter(m -> straight(model, tape.kept[m], tape.breaks, tape.settings.rtol), good) : Int[]
    length(straight_on) < FEW[] && empty!(straight_on)
    rest, all_codes = setdiff(good, straight_on), fill("Success", size(y_bar, 3))
    isempty(straight_on) || ready_lanes!(model; adjoint = true)
    isempty(rest) || ready!(model; adjoint = stepping ? "discrete" : "gauss")
    clock = Clock(seconds)
    set_up() = stepping ? Workspace(model, size(tape.f, 2) == 2, tape.settings, clock; adjoint = true) : model
    if !isempty(straight_on)
        all_codes = pull_small!(Lanes, model, tape, Bars(y_bar, q_bar, y0_bar, p_bar, f_bar), straight_on, clock)
    end
    codes = each_member(set_up, rest, size(y_bar, 3), clock) do workspace, m
        into = (view(y0_bar, :, m), view(p_bar, :, m), view(f_bar, :, :, :, m))
        bars, kept = (view(y_bar, :, :, m), view(q_bar, :, :, m)), tape.kept[m]
        given = (workspace, tape.breaks, view(tape.p, :, m), view(tape.f, :, :, :, m), kept)
        if kept isa MemberRecord
            adjoint!(into..., given..., view(tape.y, :, :, m), bars..., tape.settings)
        elseif kept isa Array{Float64,3}
            pull_transitions!(into..., model, kept, bars...)
        else
            adjoint!(into..., given..., bars..., tape.settings, clock)
        end
    end
    codes[straight_on] .= all_codes[straight_on]
    clear_failed!(codes, 0, y0_bar, p_bar, f_bar)
    return BackwardResult(y0_bar, p_bar, f_bar, join(codes, ","))
end

"""
    tangent(model, tape, y0_dot, p_dot, f_dot, good, seconds = Inf)

Derivatives of states `(states, breaks, members, directions)` and integrated fluxes along directions: the
last axis of `y0_dot`, `p_dot` and `f_dot`, each shaped like `y0`, `p` and `f` before it, as one vector. For
the members numbered in `good`; the others get zeros, and so do those not finished after `seconds`.
"""
function tangent(model::Model, tape::Tape, y0_dot, p_dot, f_dot, good, seconds = Inf)
    members = size(tape.y, 3)
    directions = length(y0_dot) ÷ (model.n_states * members)
    return tangent(model, tape, borrowed(y0_dot, model.n_states, members, directions), borrowed(p_dot, size(tape.p)..., directions),
                   borrowed(f_dot, size(tape.f)..., directions), integers(good, :), seconds)
end

function tangent(model::Model, tape::Tape, y0_dot::Array{Float64,3}, p_dot::Array{Float64,3}, f_dot::Array{Float64,5},
                 good::Vector{Int}, seconds = Inf)
    directions = size(y0_dot, 3)
    y_dot = zeros(size(tape.y)..., directions)
    q_dot = zeros(model.n_fluxes, size(tape.y, 2) - 1, size(tape.y, 3), directions)
    straight_on = isempty(model.moves) ? Int[] : pushed_in_lanes(model, tape, good)
    rest, euler = setdiff(good, straight_on), tape.settings.solver == EULER
    isempty(straight_on) || ready_moves!(model; second = !euler)
    if !isempty(rest)
        ready!(model; adjoint = "forward")
        euler ? ready_steps!(model, Float64) : ready!(model)
    end
    clock = Clock(seconds)
    if !isempty(straight_on)
        all_codes = push_small!(model, tape, Dots(y0_dot, p_dot, f_dot, y_dot, q_dot), straight_on, clock)
    end
    codes = isempty(rest) ? fill("Success", size(tape.y, 3)) : push_each!(y_dot, q_dot, model, tape, y0_dot, p_dot, f_dot, rest, clock)
    isempty(straight_on) || (codes[straight_on] .= all_codes[straight_on])
    clear_failed!(codes, 1, y_dot, q_dot)
    return TangentResult(y_dot, q_dot, join(codes, ","))
end

"The same by dual numbers for `members`, one after the other; returns a code for all."
function push_each!(y_dot, q_dot, model::Model, tape::Tape, y0_dot, p_dot, f_dot, members, clock::Clock)
    tape.settings.solver == EULER && return euler_push!(y_dot, q_dot, model, tape, y0_dot, p_dot, f_dot, members, clock)
    directions, stepping = size(y0_dot, 3), any(kept -> kept isa MemberRecord, tape.kept)
    set_up() = stepping ? Workspace(model, size(tape.f, 2) == 2, tape.settings, clock; directions) : model
    return each_member(set_up, members, size(tape.y, 3), clock) do workspace, m
        into, kept = (view(y_dot, :, :, m, :), view(q_dot, :, :, m, :)), tape.kept[m]
        into[1][:, 1, :] .= view(y0_dot, :, m, :)
        dots = (view(p_dot, :, m, :), view(f_dot, :, :, :, m, :))
        if kept isa MemberRecord
            tangent!(into..., dots..., workspace, tape.breaks, view(tape.p, :, m), view(tape.f, :, :, :, m), kept,
                     view(tape.y, :, :, m), tape.settings)
        else
            push_transitions!(into..., dots..., model, kept::Array{Float64,3})
        end
    end
end
