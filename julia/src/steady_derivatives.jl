# Derivatives of steady states and of the fluxes there, by the implicit function theorem: one solve with the Jacobian,
# transposed for gradients.

"""
Gradients of `y_bar' y + q_bar' q` to parameters and forcings, by the implicit function theorem: with `J` and `Q` the
Jacobians of rates and fluxes to the states, `-J' lambda = y_bar + Q' q_bar` is solved, and `[lambda; q_bar]` pulled back.
"""
function steady_adjoint!(p_bar, f_bar, s::Search, y, p, f, y_bar, q_bar)
    w, m = s.work, s.work.model
    set_interval!(set_parameters!(w, p), f, 1.0)
    s.left = 1
    set_matrix!(s, y, 0.0) || throw(Failure(:NotFinite))
    s.step .= y_bar
    rows = rowvals(m.pattern)
    @inbounds for column in 1:m.n_states, at in nzrange(m.pattern, column)
        rows[at] > m.n_states && (s.step[column] += w.entries[at] * q_bar[rows[at]-m.n_states])
    end
    divide!(s.correction, s, s.step) || throw(Failure(:SingularMatrix))
    s.trial_rates .= vcat(s.correction, q_bar)
    bar = zeros(m.n_values)
    pull!(bar, w, s.trial_rates)
    f_bar .= view(bar, forcings(m))
    collect_parameters!(p_bar, bar, w)
    all(isfinite, p_bar) && all(isfinite, f_bar) || throw(Failure(:NotFinite))
    return nothing
end

"""
    steady_adjoint(model, y, p, f, y_bar, q_bar, good, seconds = Inf)

Pulls gradients to steady states `y` and fluxes back to parameters and forcings, for the members numbered in `good`; the
others get zeros.
"""
function steady_adjoint(model::Model, y, p, f, y_bar, q_bar, good, seconds = Inf)
    members = length(y) ÷ model.n_states
    states(x) = plain(x, model.n_states, members)
    return steady_adjoint(model, states(y), plain(p, model.n_parameters, members), plain(f, model.n_forcings, members),
                          states(y_bar), plain(q_bar, model.n_fluxes, members), integers(good, :), seconds)
end

function steady_adjoint(model::Model, y::Matrix{Float64}, p::Matrix{Float64}, f::Matrix{Float64}, y_bar::Matrix{Float64},
                        q_bar::Matrix{Float64}, good::Vector{Int}, seconds = Inf)
    ready!(model; adjoint = "gauss")
    p_bar, f_bar, clock, s = zero(p), zero(f), Clock(seconds), Settings("Newton", 1.0, 1.0, 1)
    codes = with_search(model, Float64[], Float64[], s, clock; adjoint = true) do set_up
        each_member(set_up, good, size(y, 2), clock) do search, m
            steady_adjoint!(view(p_bar, :, m), view(f_bar, :, m), search, y[:, m], view(p, :, m), view(f, :, m:m),
                            view(y_bar, :, m), view(q_bar, :, m))
        end
    end
    clear_failed!(codes, 0, p_bar, f_bar)
    return (; p = p_bar, f = f_bar, codes = join(codes, ","))
end

"""
Moves of a steady state and of the fluxes there along directions of parameters and forcings, their last axis: rates move
by the partials of dual numbers, and `-J` times the move of the states is what they move by.
"""
function steady_tangent!(y_dot, q_dot, s::Search, w::Work{DualNumber}, y, p, f, p_dot, f_dot)
    n = s.work.model.n_states
    set_interval!(set_parameters!(s.work, p), f, 1.0)
    s.left = 1
    set_matrix!(s, y, 0.0) || throw(Failure(:NotFinite))
    rates = zeros(DualNumber, size_of(s.work.model))
    partial(l, d) = ForwardDiff.partials(rates[l], d)
    for low in 0:PARTIALS:size(y_dot, 2)-1
        set_interval!(set_parameters!(w, seeded(p, p_dot, low)), seeded(f, reshape(f_dot, :, 1, size(f_dot, 2)), low), 1.0)
        rates!(rates, set_point!(w, DualNumber.(y), 0.0))
        some = low+1:min(low + PARTIALS, size(y_dot, 2))
        for d in some
            divide!(s.correction, s, [partial(l, d - low) for l in 1:n]) || throw(Failure(:SingularMatrix))
            y_dot[:, d] .= s.correction
        end
        # With the states moving too, the fluxes move as they do along steady states.
        rates!(rates, set_point!(w, seeded(y, y_dot, low), 0.0))
        for d in some, l in axes(q_dot, 1)
            q_dot[l, d] = partial(n + l, d - low)
        end
    end
    all(isfinite, y_dot) && all(isfinite, q_dot) || throw(Failure(:NotFinite))
    return nothing
end

"""
    steady_tangent(model, y, p, f, p_dot, f_dot, good, seconds = Inf)

Derivatives of steady states `(states, members, directions)` and of fluxes along directions: the last axis of `p_dot` and
`f_dot`, each shaped like `p` and `f` before it, as one vector. For the members numbered in `good`; the others get zeros.
"""
function steady_tangent(model::Model, y, p, f, p_dot, f_dot, good, seconds = Inf)
    ready!(model)
    ready!(model; adjoint = "forward")
    n, members = model.n_states, length(y) ÷ model.n_states
    at, p, f = plain(y, n, members), plain(p, model.n_parameters, members), plain(f, model.n_forcings, members)
    directions = length(p_dot) + length(f_dot) == 0 ? 0 : (length(p_dot) + length(f_dot)) ÷ (length(p) + length(f))
    p_dot, f_dot = plain(p_dot, size(p)..., directions), plain(f_dot, size(f)..., directions)
    y_dot, q_dot = zeros(n, members, directions), zeros(model.n_fluxes, members, directions)
    clock, s = Clock(seconds), Settings("Newton", 1.0, 1.0, 1)
    codes = with_search(model, Float64[], Float64[], s, clock) do set_up
        each_member(() -> (set_up(), Work{DualNumber}(model, false)), integers(good, :), members, clock) do (search, work), m
            steady_tangent!(view(y_dot, :, m, :), view(q_dot, :, m, :), search, work, at[:, m], p[:, m], f[:, m:m],
                            p_dot[:, m, :], f_dot[:, m, :])
        end
    end
    clear_failed!(codes, 1, y_dot, q_dot)
    return (; y = y_dot, q = q_dot, codes = join(codes, ","))
end
