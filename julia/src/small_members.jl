# Lanes on their way through intervals and members: what becomes of a step that was computed (`rosenbrock.jl`).

"Solves members of the batch that `take()` numbers, until it gives none; `finish(member, lane, code)` hears of each."
function solve_members!(s::Stepper{T}, batch::Batch, take::G, finish::H) where {T,G,H}
    w = s.work
    running = 0
    # Room for two steps an interval: more comes by doubling.
    room = min(2.0 * (w.model.n_states + 2) * length(batch.intervals), s.settings.memory / sizeof(Float64))
    s.keeps && foreach(a -> sizehint!(a.record.data, floor(Int, room)), s.lanes)
    for l in eachindex(s.lanes)
        running += begin_member!(s, batch, l, take())
    end
    running == 0 && return nothing
    # Lanes without a member compute as the first one does, and are not looked at.
    for l in eachindex(s.lanes)
        s.lanes[l].member == 0 && load_member!(s, batch, l, s.lanes[1].member)
    end
    set_all!(w)
    while running > 0
        tick!(w)
        any(a -> a.fresh && a.member > 0, s.lanes) && find_first_steps!(s)
        attempt!(s)
        running -= settle!(s, batch, take, finish)
    end
    return nothing
end

"Values that all lanes take from what was set in some."
function set_all!(w::Work)
    forget!(w)
    w.linear || set_forcing!(w, 0.0)
    unmoved!(k, x) = gather!(x.x, w.v, k, k.along+1:inputs(k))
    each(unmoved!, w)
    foreach(unmoved!, w.model.guards, w.guards)
    return nothing
end

"Takes up a member; returns whether there is one."
function begin_member!(s::Stepper, batch::Batch, l, member)
    a = s.lanes[l]
    a.member = member
    member == 0 && return false
    a.counts, a.keeps = Counts(), s.keeps
    empty!(a.record)
    intervals = length(batch.breaks) - 1
    a.step_counts = zeros(Int, intervals)
    a.initial_steps = isempty(s.first_steps) ? zeros(intervals) : copy(s.first_steps)
    load_member!(s, batch, l, member)
    return true
end

function load_member!(s::Stepper{T}, batch::Batch, l, member) where {T}
    w, a = s.work, s.lanes[l]
    m = w.model
    for i in 1:m.n_parameters
        set_lane!(w.v, m.n_states + i, l, batch.p[i, member])
    end
    for i in 1:m.n_states
        set_lane!(s.u, i, l, batch.y[i, first(batch.intervals), member])
    end
    reset_share!(w, l)
    begin_interval!(s, batch, l, member, first(batch.intervals))
end

"Sets a lane to the start of an interval, whose states it has."
function begin_interval!(s::Stepper, batch::Batch, l, member, j)
    w, a = s.work, s.lanes[l]
    m = w.model
    size = batch.breaks[j+1] - batch.breaks[j]
    set_length!(w, l, size)
    nodes = Base.size(batch.f, 2)
    @inbounds for i in m.read
        set_lane!(w.start, i, l, batch.f[i, 1, j, member])
        w.linear && set_lane!(w.finish, i, l, batch.f[i, nodes, j, member])
    end
    for i in m.n_states+1:size_of(m)
        set_lane!(s.u, i, l, 0.0)
    end
    j < Base.size(batch.f, 3) && fetch_early(batch.f, 1, j + 1, member)
    fetch_early(batch.y, j + 1, member)
    fetch_early(batch.q, j, member)
    a.interval, a.tries, a.taken, a.longest = j, 0, 0, 0.0
    first_step = length(a.initial_steps) < j ? 0.0 : a.initial_steps[j]
    a.fresh = first_step == 0
    a.proposed = min(first_step, size)
    a.size_before, a.resume = 0.0, 0.0
    s.t[l] = 0.0
    s.h[l] = a.fresh ? size : a.proposed
    return nothing
end

"""
Accepts or refuses the step of each lane, moves lanes to their next interval or member where they have come to the end of
one, and returns how many have come to an end without another.
"""
function settle!(s::Stepper{T}, batch::Batch, take::G, finish::H) where {T,G,H}
    w, settings = s.work, s.settings
    t, h = load_lanes(T, s.t), load_lanes(T, s.h)
    good = load_lanes(T, s.error) <= 1
    turned = switched_lanes(s, t, h)
    crossed = good & turned & !short(w, h)      # while longer than the resolution
    located = any_lane(crossed) ? locate(s, t, h) : one(T)
    outside = isempty(w.model.guards) ? crossed & false : outside_lanes(set_point!(w, s.next, t + h))
    accepted = good & !crossed
    ended = 0
    for l in eachindex(s.lanes)
        a = s.lanes[l]
        (a.member == 0 || lane(accepted, l)) && continue
        error, size = s.error[l], s.h[l]
        a.counts.rejections += 1
        if lane(crossed, l)
            # Up to where a switch turns, then across it with a short step, and on with one of this size.
            a.resume = max(size, a.resume)
            a.proposed = max(size * lane(located, l), 0.9 * w.resolution * length_of(s, l))
        else
            # A little less than the error asks for: to be refused again costs more.
            a.proposed = isfinite(error) ? size / clamp(s.quotient[l] / SAFETY, 1.25, SHRINK) : size / SHRINK
        end
        a.tries += 1
    end
    for l in eachindex(s.lanes)
        a = s.lanes[l]
        (a.member != 0 && lane(accepted, l)) || continue
        a.keeps && (a.keeps = remember!(a.record, s, l))
    end
    keep_accepted!(s, accepted)
    moved = refilled = false
    for l in eachindex(s.lanes)
        a = s.lanes[l]
        a.member == 0 && continue
        code = :Success
        whole = length_of(s, l)
        over = false
        if lane(accepted, l)
            a.taken += 1
            a.tries += 1
            a.longest = max(a.longest, s.h[l])
            over = s.h[l] >= whole - s.t[l]
            s.t[l] = over ? whole : s.t[l] + s.h[l]
            a.proposed = min(whole, next_size!(a, s.h[l], s.quotient[l], s.tab.least, w.resolution * whole, lane(turned, l)))
            lane(outside, l) && (code = range_left(w, l, s.t[l]))
        elseif a.proposed < 1e-15 * whole || s.t[l] + a.proposed == s.t[l]
            code = isnan(s.error[l]) ? :DtNaN : :DtLessThanMin
        end
        if code === :Success && over
            code = end_interval!(s, batch, l)
            if code === :Success && a.interval < last(batch.intervals)
                begin_interval!(s, batch, l, a.member, a.interval + 1)
                moved = true
                continue
            end
        elseif code === :Success && a.tries >= settings.max_steps
            code = :MaxIters
        end
        if over || code !== :Success
            a.counts.share = share_of(w, l)
            finish(a.member, a, code)
            refilled |= begin_member!(s, batch, l, take())
            ended += a.member == 0
            continue
        end
        left = whole - s.t[l]
        s.h[l] = a.proposed * (1 + 1e-10) >= left ? left : a.proposed
    end
    if refilled
        set_all!(w)
    elseif moved
        w.linear ? forget!(w) : set_forcing!(w, 0.0)
    end
    return ended
end

@inline with_mask(m::Bool, l) = true
@inline with_mask(m::Mask, l) = Mask(Base.setindex(m.v, VecElement(true), l))

"The size of the step after an accepted one, or of that which is now cut short, of size `h`."
function next_size!(a::Lane, h, root, least, resolution, turned)
    cut = h < a.proposed
    root = max(root, 1e-9)
    shrink = root / SAFETY
    a.size_before > 0 && (shrink = max(shrink, a.size_before / h * root * root / (a.quotient_before * SAFETY)))
    next = h / clamp(shrink, 1 / GROW, SHRINK)
    a.size_before, a.quotient_before = h, max(root, least)
    if a.resume > 0
        # Before the switch comes a short step. Where that has not crossed it, it was farther away, or not there.
        next = h > resolution ? min(next, 0.9 * resolution) : max(next, turned ? a.resume : 0.3 * a.resume)
        h <= resolution && (a.resume = a.size_before = 0.0)
        return next
    end
    return cut ? max(next, a.proposed) : next
end

"Lanes whose steps were accepted go on from where these end."
function keep_accepted!(s::Stepper, accepted)
    @inbounds for i in eachindex(s.u)
        s.u[i] = pick(accepted, s.next[i], s.u[i])
    end
    return nothing
end

"Stores what a lane has at the end of its interval."
function end_interval!(s::Stepper, batch::Batch, l)
    a, n = s.lanes[l], s.work.model.n_states
    j = a.interval
    finite = true
    @inbounds for i in eachindex(s.u)
        value = get_lane(s.u, i, l)
        finite &= isfinite(value)
        i <= n ? (batch.y[i, j+1, a.member] = value) : (batch.q[i-n, j, a.member] = value)
    end
    # The last step was cut short by the end of the interval, and says less than the longest one.
    length(a.initial_steps) > j && (a.initial_steps[j+1] = max(a.longest, a.proposed))
    a.step_counts[j] = a.taken
    a.counts.steps += a.taken
    a.keeps && push!(a.record.first, steps(a.record) + 1)
    return finite ? :Success : :NotFinite
end

"""
Notes the accepted step that a lane is at the end of; returns whether the record stays within the memory allowed. Where it
does not it is given up.
"""
function remember!(r::SmallRecord, s::Stepper, l)
    at = length(r.data)
    resize!(r.data, at + 2 + r.n)
    @inbounds r.data[at+1], r.data[at+2] = s.h[l], s.t[l]
    @inbounds for i in 1:r.n
        r.data[at+2+i] = get_lane(s.u, i, l)
    end
    return bytes(r) <= s.settings.memory
end

Turned(::Type{T}, m::Model) where {T} = [fill(mask_type(T)(false), k.branches > 0 ? items(k) : 0, k.branches) for k in both(m)]
