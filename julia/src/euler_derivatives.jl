# Derivatives of steps of implicit Euler (`implicit_euler.jl`), and batches of them.

"What going back through steps reads and overwrites."
struct EulerAdjoint{T,S}
    work::Work{T}
    solver::S
    settings::Settings
    rates_bar::Vector{T}
    right::Vector{T}
    bar::Vector{T}
end

function EulerAdjoint{T}(m::Model, linear::Bool, s::Settings, clock::Clock) where {T}
    w = set_tolerances!(Work{T}(m, linear; adjoint = true, clock), s)
    return EulerAdjoint(w, step_solver(T, m), s, zeros(T, size_of(m)), zeros(T, m.n_states), zeros(T, m.n_values))
end

"""
Goes back through a step of each lane: with `lambda` the gradient to its end, `(I/h - J)' mu = lambda + h Q' q_bar`; `mu` over h
goes on, and `[mu; h q_bar]` is pulled to the inputs. What the record calls the start of a step is its end.
"""
function step_back!(b::Backward, a::EulerAdjoint, t, h)
    w, m, n = a.work, a.work.model, a.work.model.n_states
    rows = rowvals(m.pattern)
    jacobian!(set_point!(w, b.start, t + h))
    set_matrix!(a.solver, w, inv(h))
    a.right .= .-b.lambda
    @inbounds for column in 1:n, at in nzrange(m.pattern, column)
        rows[at] > n && (a.right[column] -= h * w.entries[at] * b.q_bar[rows[at]-n])
    end
    mu = divide_transposed_step!(a.solver, a.right)
    @inbounds for l in 1:n
        a.rates_bar[l] = mu[l]
        b.lambda[l] = mu[l] / h
    end
    @inbounds for l in eachindex(b.q_bar)
        a.rates_bar[n+l] = h * b.q_bar[l]
    end
    add_forcing!(b.f_bar, pull!(a.bar, w, a.rates_bar), m, (t + h) / length_of(w))
    return nothing
end

"One number, once."
once(member) = (left = Ref(member); () -> (given = left[]; left[] = 0; given))

"The steps of an interval of a member that were not kept."
function again(a::EulerAdjoint, tape::Tape, member, j)
    m, some = a.work.model, (j:j, member:member)
    model_batch = Batch(tape.breaks[j:j+1], tape.p[:, some[2]], tape.f[:, :, some...],
                        cat(tape.y[:, some...], zeros(m.n_states, 1, 1); dims = 2), zeros(m.n_fluxes, 1, 1), 1:1)
    e, found = EulerStepper{Float64}(m, size(tape.f, 2) == 2, unbounded(a.settings), a.work.clock; keeps = true), Ref{SmallRecord}()
    solve_members!(e, model_batch, once(1), (_, lane, code) -> (code === :Success || throw(Failure(code)); found[] = lane.record))
    return found[]
end

unbounded(s::Settings) = Settings(s.solver, s.rtol, s.atol, s.max_steps, Inf, s.steep_share, s.atols, s.step)

"""
Pushes the directions of one member through its steps: their moves are `(I/h - J) u_next' = u'/h + F'`, where `F'` are
partials of dual numbers. Fills in `y_dot` `(states, breaks, directions)`, given its first column, and `q_dot`.
"""
function euler_tangent!(y_dot, q_dot, p_dot, f_dot, (a, w), tape::Tape, member)
    p, f, s = view(tape.p, :, member), view(tape.f, :, :, :, member), tape.settings
    set_parameters!(a.work, p)
    m, n = w.model, w.model.n_states
    rates, moves, kept = zeros(DualNumber, size_of(m)), zeros(n, size(y_dot, 3)), tape.kept[member].record
    partial(l, d) = ForwardDiff.partials(rates[l], d)
    fill!(q_dot, 0.0)
    moves .= view(y_dot, :, 1, :)
    for j in 1:length(tape.breaks)-1
        record, first = kept === nothing ? (again(a, tape, member, j), 1) : (kept, kept.first[j])
        whole = tape.breaks[j+1] - tape.breaks[j]
        set_interval!(a.work, view(f, :, :, j), whole)
        for step in first:first+steps_within(whole, s)-1
            tick!(a.work)
            u, h = point(record, step), size_of_step(record, step)
            t = start_of(record, step) + h
            jacobian!(set_point!(a.work, u, t))
            set_matrix!(a.solver, a.work, 1 / h)
            for low in 0:PARTIALS:size(moves, 2)-1
                some = low+1:min(low + PARTIALS, size(moves, 2))
                set_parameters!(w, seeded(p, p_dot, low))
                set_interval!(w, seeded(view(f, :, :, j), view(f_dot, :, :, j, :), low), whole)
                rates!(rates, set_point!(w, DualNumber.(u), t))
                for d in some
                    a.right .= .-view(moves, :, d) ./ h .- (partial(l, d - low) for l in 1:n)
                    moves[:, d] .= divide_step!(a.solver, a.right)
                end
                rates!(rates, set_point!(w, seeded(u, moves, low), t))
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

"Compiles what steps need, on plain numbers or on lanes, and where `back` what going back through them does."
function ready_steps!(m::Model, ::Type{T}; back = false) where {T}
    lock(m.lock) do
        for k in both(m)
            f = T === Lanes ? k.lanes : k
            ready!(f.slopes!)
            (back && k.network === nothing) || continue
            isempty(k.columns) && ready!(f.pull!)
            prepares(k) ? ready!(f.partials!) : ready!(f.value!)
        end
        foreach(k -> ready!(T === Lanes ? k.lanes.value! : k.value!), m.guards)
    end
    return m
end

member_record(a::EulerLane) = MemberRecord(a.keeps ? a.record : nothing, Int[], Float64[])

# All members, as the functions of the same name do it for other solvers (`batch.jl`).

function euler_forward(model::Model, breaks, p, f, y, q, s::Settings, keeps::Bool, seconds)
    members, linear = size(y, 3), size(f, 2) == 2
    T = number_type(model, members)
    ready_steps!(model, T)
    kept, counts, clock = Vector{Any}(nothing, members), [Counts() for _ in 1:members], Clock(seconds)
    batch, set_up = Batch(breaks, p, f, y, q, 1:length(breaks)-1), () -> EulerStepper{T}(model, linear, s, clock; keeps)
    if T === Lanes
        codes = solve_lanes!(set_up, batch, WIDTH, kept, counts, clock; keeps)
    else
        codes = each_member(set_up, 1:members, members, clock) do e, m
            solve_members!(e, batch, once(m), (_, lane, code) -> begin
                counts[m] = lane.counts
                code === :Success || throw(Failure(code))
                keeps && (kept[m] = member_record(lane))
            end)
        end
    end
    return results(y, q, codes, counts, T === Lanes ? members : 0, Tape(breaks, p, f, y, s, kept))
end

function euler_backward(model::Model, t::Tape, y_bar, q_bar, good, seconds)
    members, nodes, clock = size(y_bar, 3), size(t.f, 2), Clock(seconds)
    bars = Bars(y_bar, q_bar, zeros(model.n_states, members), zero(t.p), zero(t.f))
    T = number_type(model, length(good))
    ready_steps!(model, T; back = true)
    any(m -> t.kept[m].record === nothing, good) && ready_steps!(model, Float64)
    set_up() = Backward(EulerAdjoint{T}(model, nodes == 2, t.settings, clock), nodes)
    if T === Lanes
        codes = pull_lanes!(set_up, WIDTH, t, bars, good, clock)
    else
        own = fill("Success", members)
        codes = each_member((b, m) -> pull_members!(b, t, bars, once(m), own), set_up, good, members, clock)
        foreach(m -> codes[m] == "Success" && (codes[m] = own[m]), good)
    end
    clear_failed!(codes, 0, bars.y0, bars.p, bars.f)
    return BackwardResult(bars.y0, bars.p, bars.f, join(codes, ","))
end

function euler_push!(y_dot, q_dot, model::Model, t::Tape, y0_dot, p_dot, f_dot, members, clock::Clock)
    linear = size(t.f, 2) == 2
    set_up() = (EulerAdjoint{Float64}(model, linear, t.settings, clock), Work{DualNumber}(model, linear; clock))
    return each_member(set_up, members, size(t.y, 3), clock) do spaces, m
        y_dot[:, 1, m, :] .= view(y0_dot, :, m, :)
        euler_tangent!(view(y_dot, :, :, m, :), view(q_dot, :, :, m, :), view(p_dot, :, m, :), view(f_dot, :, :, :, m, :), spaces, t, m)
    end
end
