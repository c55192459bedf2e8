# The tangent of a step of small systems in lockstep, along many directions at once: of implicit Euler, and of Rosenbrock methods, whose
# stages `tangent.jl` differentiates by dual numbers.

"What going along steps in several directions reads and overwrites; `tab` is nothing for implicit Euler."
struct SmallTangent{T,S,K}
    work::Work{T}
    tab::K
    solver::S
    spaces::Vector{MoveSpace{T}}    # of stages, then kernels
    v::Matrix{T}                    # moves of all values, (directions, values),
    rates::Matrix{T}                # of rates,
    u::Matrix{T}                    # of states, and of fluxes integrated since the start of the interval
    right::Vector{T}
    at::Vector{T}
    k::Matrix{T}                    # (stages, states)
    k_moves::Array{T,3}             # (directions, stages, rates)
    value_k::Matrix{T}              # how assigned values move along k, (stages, assigned values),
    value_k_moves::Array{T,3}       # and how that moves, (directions, stages, assigned values)
end

function SmallTangent{T}(m::Model, linear::Bool, clock::Clock, moving, directions, tab) where {T}
    stages = tab === nothing ? 0 : stage_count(tab)
    assigned, solver = m.n_values - m.base, SmallSolver(StepSpace{T}(m))
    spaces = MoveSpace{T}[MoveSpace{T}(k, moves, moving, directions, m.base) for (k, moves) in zip(both(m), m.moves)]
    blank(sizes...) = zeros(T, directions, sizes...)
    return SmallTangent(Work{T}(m, linear; clock), tab, solver, spaces, blank(m.n_values), blank(size_of(m)), blank(size_of(m)),
                        zeros(T, m.n_states), zeros(T, m.n_states), zeros(T, stages, m.n_states), blank(stages, size_of(m)),
                        zeros(T, stages, assigned), blank(stages, assigned))
end

"""
Takes the moves of a step of implicit Euler from its start to its end `u`: `(I/h - J) u' = u_before'/h + F'`, where `F'` are moves
of the rates at states that do not move.
"""
function euler_moves!(a::SmallTangent{T}, u, t, h) where {T}
    w, n, factors, inverse = a.work, a.work.model.n_states, a.solver.space.factors, inv(h)
    jacobian!(set_point!(w, u, t + h))
    set_matrix!(a.solver, w, inverse)
    linearise!(a.spaces, w)
    @inbounds for l in 1:n, d in axes(a.v, 1)
        a.v[d, l] = zero(T)
    end
    push_rates!(a.rates, a.v, a.spaces, w)
    for d in axes(a.u, 1)
        @inbounds for l in 1:n
            a.right[l] = -fused(inverse, a.u[d, l], a.rates[d, l])
        end
        divide!(a.right, factors)
        @inbounds for l in 1:n
            a.u[d, l] = a.right[l]
        end
        @inbounds for (at, flux, state) in a.solver.space.border
            a.rates[d, flux] = fused(w.entries[at], a.right[state], a.rates[d, flux])
        end
        @inbounds for l in n+1:size_of(w.model)
            a.u[d, l] = fused(h, a.rates[d, l], a.u[d, l])
        end
    end
    return nothing
end

"Takes the moves of a step of a Rosenbrock method from its start, at time `t`, to its end; forcings are constant in each interval."
function rodas_moves!(a::SmallTangent{T}, start, t, h) where {T}
    w, m, tab = a.work, a.work.model, a.tab
    n, total, gamma_h, inverse, space = m.n_states, size_of(m), tab.gamma * h, inv(h), a.solver.space
    jacobian!(set_point!(w, start, t))
    set_matrix!(a.solver, w, inv(gamma_h))
    for (at, (_, s)) in enumerate(zip(both(m), both(w)))
        isempty(m.moves[at].bent) || m.moves[at].second!(s.slopes, a.spaces[at].bends, s.x)
    end
    stages!(a.k, space, w, tab, start, t, h)
    for i in 1:stage_count(tab)
        # Stages one after the other may be at one point.
        i > 1 && tab.points[i] == tab.points[i-1] ||
            linearise!(a.spaces, set_point!(w, stage_point!(a.at, start, a.k, tab.A, i), t + tab.c[i] * h))
        @inbounds for l in 1:n, d in axes(a.v, 1)
            sum = a.u[d, l]
            for j in 1:i-1
                sum = fused(tab.A[i, j], a.k_moves[d, j, l], sum)
            end
            a.v[d, l] = sum
        end
        push_rates!(a.rates, a.v, a.spaces, w)
        i == 1 && push_slopes!(a)
        add_moved_product!(a, i)
        @inbounds for l in 1:total, d in axes(a.rates, 1)
            sum = zero(T)
            for j in 1:i-1
                sum = fused(tab.C[i, j], a.k_moves[d, j, l], sum)
            end
            a.rates[d, l] = fused(inverse, sum, a.rates[d, l])
        end
        for d in axes(a.rates, 1)
            @inbounds for l in 1:n
                a.right[l] = -a.rates[d, l]
            end
            divide!(a.right, space.factors)
            @inbounds for l in 1:n
                a.k_moves[d, i, l] = a.right[l]
            end
            @inbounds for (at, flux, state) in space.border
                a.rates[d, flux] = fused(w.entries[at], a.right[state], a.rates[d, flux])
            end
            @inbounds for l in n+1:total
                a.k_moves[d, i, l] = gamma_h * a.rates[d, l]
            end
        end
    end
    @inbounds for l in 1:total, d in axes(a.u, 1), i in 1:stage_count(tab)
        a.u[d, l] = fused(tab.b[i], a.k_moves[d, i, l], a.u[d, l])
    end
    return nothing
end

"Moves of the slopes at the start of the step, where the values move as in `a.v`; and of what assigned values do along the stages."
function push_slopes!(a::SmallTangent{T}) where {T}
    w, m = a.work, a.work.model
    for space in a.spaces
        fill!(space.slopes, zero(T))
        add_moves!(space.slopes, space.slope_additions, space.bends, a.v)
    end
    fill!(a.value_k, zero(T))
    fill!(a.value_k_moves, zero(T))
    for (k, s, space) in zip(m.stages, w.stages, a.spaces), scatter in axes(k.targets, 2), j in 1:k.active, i in 1:items(k)
        at = i + ((k.output[scatter] - 1) * k.ways + j - 1) * items(k)
        target, position, weight = k.targets[i, scatter] - m.base, k.gather[i, j], k.weights[i, scatter]
        @inbounds for stage in axes(a.k, 1)
            moved = position <= m.n_states ? a.k[stage, position] : a.value_k[stage, position-m.base]
            a.value_k[stage, target] = fused(weight * s.slopes[at], moved, a.value_k[stage, target])
        end
    end
    return nothing
end

"Adds what the Jacobian's moves make of a stage to the moves of the rates."
function add_moved_product!(a::SmallTangent, stage)
    w, m = a.work, a.work.model
    for (s, space) in zip(w.stages, a.spaces)
        add_products!(a.value_k_moves, a, s, space, stage, m.base)
    end
    for (at, s) in enumerate(w.kernels)
        add_products!(a.rates, a, s, a.spaces[length(w.stages)+at], stage, 0)
    end
    return nothing
end

@inline entry(x::Matrix, d, stage, target) = (d, target)
@inline entry(x::Array{<:Any,3}, d, stage, target) = (d, stage, target)

"The share of one kernel: its results move `into`, counted from `before` on."
function add_products!(into, a::SmallTangent, s::Space, space::MoveSpace, stage, before)
    n, base = a.work.model.n_states, a.work.model.base
    @inbounds for p in space.products
        of_state = p.source <= n
        factor = p.weight * (of_state ? a.k[stage, p.source] : a.value_k[stage, p.source-base])
        for d in axes(a.rates, 1)
            at = entry(into, d, stage, p.target - before)
            into[at...] = fused(space.slopes[d, p.slope], factor, into[at...])
        end
        of_state && continue
        factor = p.weight * s.slopes[p.slope]
        for d in axes(a.rates, 1)
            at = entry(into, d, stage, p.target - before)
            into[at...] = fused(a.value_k_moves[d, stage, p.source-base], factor, into[at...])
        end
    end
    return nothing
end
