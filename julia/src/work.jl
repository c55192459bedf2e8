# Solvers ask for rates, for slopes and whether a step may stand at the same point, one after the other.
@enum Knowledge NOTHING VALUES SLOPES

"What the right-hand side reads and overwrites: one per task."
mutable struct Work{T}
    const model::Model
    const v::Vector{T}
    const stages::Vector{Space{T}}
    const kernels::Vector{Space{T}}
    const guards::Vector{Space{T}}
    const start::Vector{T}      # forcing at the start of the interval
    const finish::Vector{T}     # forcing at its end
    const entries::Vector{T}    # values of the Jacobian's pattern
    const slopes::Vector{T}     # of assigned values to the states they depend on
    const drift::Vector{T}      # rates of change of assigned values with time alone
    known::Knowledge            # what has been computed at the point that is set
    partial::Bool               # whether the partial derivatives of stages have been too
    point::Int                  # under which networks keep what they compute there, or 0
    looked::Bool                # and the side its switches are on
    linear::Bool                # does the forcing change within the interval?
    length::Float64             # of the interval; time counts from its start
    time::Float64               # of the point that is set
    step_start::Float64
    const lengths::Vector{T}    # of the intervals of lanes, one number of all; and the smallest share of these: fields of
    const shares::Vector{T}     # their own are not aligned as numbers of lanes are to be
    const emphasis::Vector{T}   # by how much more the error of each rate counts
    rtol::Float64
    atol::Float64               # the least of all
    atols::Vector{Float64}      # of each state and integrated flux, where they differ
    steep_share::Float64        # of the tolerances, for steps from where values are steep
    share::Float64              # the smallest share that a step of this member was taken with
    resolution::Float64         # how closely switches are located, as a share of the interval
    refused::Int                # steps of this interval that were too long to cross one
    const clock::Clock
    look_at::UInt64             # when to look at the clock next
end

function Work{T}(m::Model, linear::Bool; adjoint = false, clock = Clock()) where {T}
    v = zeros(T, m.n_values)
    copyto!(v, m.base - length(m.constants) + 1, m.constants, 1, length(m.constants))
    forcing() = zeros(T, m.n_forcings)
    spaces(kernels) = Space{T}[Space{T}(k, adjoint) for k in kernels]
    return Work{T}(m, v, spaces(m.stages), spaces(m.kernels), Space{T}[Space{T}(k, false) for k in m.guards],
                   forcing(), forcing(), zeros(T, nnz(m.pattern)),
                   zeros(T, length(m.depends.states)), zeros(T, m.n_values - m.base), NOTHING, false, 0, false, linear, 1.0, 0.0, 0.0,
                   ones(T, 1), ones(T, 1), ones(T, size_of(m)), 0.0, 0.0, Float64[], 1.0, 1.0,
                   0.0, 0, clock, next_look(clock))
end

"Looks at the clock: called in every step."
@inline tick!(w::Work) = (w.look_at = look(w.clock, w.look_at); nothing)

"Calls `f(kernel, space)` for all stages and kernels."
@inline function each(f, w::Work)
    for (k, s) in zip(w.model.stages, w.stages)
        f(k, s)
    end
    for (k, s) in zip(w.model.kernels, w.kernels)
        f(k, s)
    end
end

forget!(w::Work) = (w.known = NOTHING; w.partial = w.looked = false; nothing)

"Sets the parameters; what does not move during a solve is gathered here, once."
function set_parameters!(w::Work, p)
    w.v[parameters(w.model)] .= p
    unmoved!(k, s) = gather!(s.x, w.v, k, k.along+1:inputs(k))
    each(unmoved!, w)
    foreach(unmoved!, w.model.guards, w.guards)
    forget!(w)
    return w
end

"Sets the interval, `size` long; `f` is `(forcings, 1 or 2)`."
function set_interval!(w::Work, f::AbstractMatrix, size)
    w.length, w.refused = size, 0
    # Loops: for a few forcings, and a step or two in an interval, broadcasting costs more than the rest.
    @inbounds for i in w.model.read
        w.start[i], w.finish[i] = f[i, begin], f[i, end]
    end
    set_forcing!(w, 0.0)
    return w
end

function set_forcing!(w::Work, fraction)
    offset = w.model.n_states + w.model.n_parameters
    @inbounds for i in w.model.read
        w.v[offset+i] = w.linear ? w.start[i] + fraction * (w.finish[i] - w.start[i]) : w.start[i]
    end
    each((k, s) -> gather!(s.x, w.v, k, k.active+1:k.along), w)
    forget!(w)
    return w
end

@inline length_of(w::Work) = w.length
@inline length_of(w::Work{Lanes}) = @inbounds w.lengths[1]
@inline set_time!(w::Work, t) = (w.time = t; nothing)
@inline set_time!(w::Work{Lanes}, t) = nothing      # known only to tell whether a point was set before

"Sets the states, and the forcing at time `t` after the start of the interval; what is known stays known at the same point."
@inline function set_point!(w::Work, u, t)
    w.known != NOTHING && here(w, u, t) && return w
    copyto!(w.v, 1, u, 1, w.model.n_states)
    w.linear && set_forcing!(w, t / length_of(w))
    set_time!(w, t)
    forget!(w)
    return w
end

function here(w::Work{Float64}, u, t)
    w.linear && t != w.time && return false
    for i in 1:w.model.n_states
        @inbounds w.v[i] === u[i] || return false
    end
    return true
end

here(w::Work, u, t) = false

"Computes the values that stages assign at the point set in `w`."
function assign_values!(w::Work)
    w.known == NOTHING || return nothing
    for (k, s) in zip(w.model.stages, w.stages)
        gather!(s.x, w.v, k, 1:k.active)
        kept_point(w, k) == 0 ? value!(k, s.out, s.x) : partials!(k.network::Network, s.out, s.x, w.point)
        assign!(w.v, s.out, k)
    end
    w.known = VALUES
    return nothing
end

"The number of the point that is set in `w`, where a network keeps it until it is pulled back through; else 0."
kept_point(w::Work, k::Kernel) = k.network === nothing || k.network.points < STAGES ? 0 : w.point

"Rates `[d(states)/dt; fluxes]` at the point set in `w`."
function rates!(rates, w::Work)
    m = w.model
    assign_values!(w)
    fill!(rates, zero(eltype(rates)))
    for (k, s) in zip(m.kernels, w.kernels)
        value!(k, s.out, gather!(s.x, w.v, k, 1:k.active))
        add_rates!(rates, s.out, k)
    end
    return nothing
end

"The same where the slopes are known: their kernels have computed them as well."
function known_rates!(rates, w::Work)
    fill!(rates, zero(eltype(rates)))
    for (k, s) in zip(w.model.kernels, w.kernels)
        add_rates!(rates, s.out, k)
    end
    return nothing
end

"Values of the Jacobian of all rates to the states at the point set in `w`, in the order of the pattern."
function jacobian!(w::Work)
    w.known == SLOPES && return w.entries
    m = w.model
    fill!(w.slopes, zero(eltype(w.slopes)))
    for (k, s, slots) in zip(m.stages, w.stages, m.stage_slots)
        slopes!(k, s.out, s.slopes, gather!(s.x, w.v, k, 1:k.active))
        assign!(w.v, s.out, k)
        add_jacobian!(w.slopes, s.slopes, w.slopes, m.depends, slots, m.n_states, m.base, k)
    end
    fill!(w.entries, zero(eltype(w.entries)))
    for (k, s, slots) in zip(m.kernels, w.kernels, m.slots)
        slopes!(k, s.out, s.slopes, gather!(s.x, w.v, k, 1:k.active))
        add_jacobian!(w.entries, s.slopes, w.slopes, m.depends, slots, m.n_states, m.base, k)
    end
    w.known = SLOPES
    return w.entries
end

"""
Gradient of `rates_bar' * rates` at the point set in `w`: assigned to `bar`, shaped like `v`, for states
and forcings; added up in `w` for parameters, until `collect_parameters!` is called.
"""
function pull!(bar, w::Work, rates_bar)
    m = w.model
    partials!(w)
    fill!(bar, zero(eltype(bar)))
    for (k, s) in zip(m.kernels, w.kernels)
        pull!(k, s.bars, seed!(s.seeds, rates_bar, k), gather!(s.x, w.v, k, 1:k.active))
        scatter_bars!(bar, s.bars, k, 1:k.along)
    end
    for at in reverse(eachindex(m.stages))
        pull_stage!(bar, w, at)
    end
    return bar
end

"Computes the partial derivatives of all stages at the point set in `w`, and what they assign."
function partials!(w::Work)
    w.partial && return nothing
    for (k, s) in zip(w.model.stages, w.stages)
        gather!(s.x, w.v, k, 1:k.active)
        if k.network !== nothing
            point = kept_point(w, k)
            point > 0 ? recall!(k.network, s.out, s.x, point) : partials!(k.network, s.out, s.x, 2)
        else
            prepares(k) ? partials!(k, s.out, s.partials, s.x) : w.known == NOTHING && value!(k, s.out, s.x)
        end
        w.known == NOTHING && assign!(w.v, s.out, k)
    end
    w.known == NOTHING && (w.known = VALUES)
    w.partial = true
    return nothing
end

"Moves the gradients of what a stage has assigned, in `bar`, on to what it was computed from; later stages come before."
function pull_stage!(bar, w::Work, at)
    k, s = w.model.stages[at], w.stages[at]
    seed!(s.seeds, bar, k)
    if k.network !== nothing
        point = kept_point(w, k)
        # What the first point leaves behind is not kept until the step has been gone back through.
        pull!(k.network, s.bars, s.seeds, s.x, point == 0 ? 2 : point, point > 1)
        return scatter_bars!(bar, s.bars, k, 1:k.along)
    end
    isempty(k.columns) ? pull!(k, s.bars, s.seeds, s.x) : multiply!(s.bars, s.seeds, s.partials, k)
    scatter_bars!(bar, s.bars, k, 1:k.along)
    return nothing
end

"Adds the gradients to parameters that came together since the last call to `p_bar`."
function collect_parameters!(p_bar, bar, w::Work{Float64})
    fill!(bar, 0.0)
    each((k, s) -> scatter_bars!(bar, s.bars, k, k.along+1:k.variable), w)
    p_bar .+= view(bar, parameters(w.model))
    return p_bar
end
