# How rates of small systems move along directions in which their inputs do: what tangents in lockstep are made of
# (`tangent_steps.jl`). Derivatives of each kernel to its inputs are computed once at a point, for all directions; along them
# there are products and sums alone.

"""
    add_moves(model, text, whole, numbers)

Adds moves to a model that has none: of each stage and then each kernel, sources and columns, written as those of `build`.
"""
function add_moves(m::Model, text::String, whole::Vector{Int}, numbers::Vector{Float64})
    push!(BUILT, text)
    recall(text)
    lock(m.lock) do
        isempty(m.moves) || return
        for (first, columns, second, bent) in next_value!(Reader(text, whole, numbers, 0, 0, 0))
            push!(m.moves, Moves(first, integers(columns, :), second, integers(bent, :)))
        end
    end
    return nothing
end

"Compiles what moves need, and where the steps are of higher order what those of slopes do."
function ready_moves!(m::Model; second::Bool)
    lock(m.lock) do
        for (k, moves) in zip(both(m), m.moves)
            foreach(ready!, (k.lanes.slopes!, moves.first!))
            second && ready!(k.lanes.value!)
            second && !isempty(moves.bent) && ready!(moves.second!)
        end
    end
    return m
end

"Adds `weight` times the factor numbered `factor` times the moves of the value `source`, along some directions, to those of `target`."
struct Addition
    factor::Int
    target::Int
    source::Int
    weight::Float64
    directions::UnitRange{Int}
end

@inline function add_moves!(into, additions::Vector{Addition}, factors, from)
    @inbounds for a in additions
        c = a.weight * factors[a.factor]
        for d in a.directions
            into[d, a.target] = fused(c, from[d, a.source], into[d, a.target])
        end
    end
    return nothing
end

"Which directions each value may move along: `moving(position)` says so of parameters and forcings, others move along all."
function additions(k::Kernel, columns, moving)
    found = Addition[]
    for (at, column) in enumerate(columns), s in axes(k.targets, 2)
        o, j = divrem(column - 1, k.variable) .+ 1
        k.output[s] == o || continue
        for i in 1:items(k)
            source = k.gather[i, j]
            along = moving(source)
            isempty(along) || push!(found, Addition(i + (at - 1) * items(k), k.targets[i, s], source, k.weights[i, s], along))
        end
    end
    return found
end

"The same for slopes: targets are their places in the matrix of the kernel's slopes."
function slope_additions(k::Kernel, bent, moving)
    found = Addition[]
    for (at, column) in enumerate(bent), i in 1:items(k)
        slope, j = divrem(column - 1, k.variable) .+ 1
        source = k.gather[i, j]
        along = moving(source)
        (slope - 1) % k.ways < k.active && !isempty(along) &&
            push!(found, Addition(i + (at - 1) * items(k), i + (slope - 1) * items(k), source, 1.0, along))
    end
    return found
end

"A slope that moves, or that of an assigned value that does: what it makes of the value `source` is added, times `weight`, to `target`."
struct Product
    slope::Int
    target::Int
    source::Int
    weight::Float64
end

"""
The products of slopes with what moves along a stage. Slopes to states that do not move themselves, with none of `bent`,
have no part in how these move.
"""
function products(k::Kernel, bent, base)
    found, moved = Product[], Set((column - 1) ÷ k.variable + 1 for column in bent)
    for s in axes(k.targets, 2), j in 1:k.active, i in 1:items(k)
        column = (k.output[s] - 1) * k.ways + j
        (column in moved || k.gather[i, j] > base) &&
            push!(found, Product(i + (column - 1) * items(k), k.targets[i, s], k.gather[i, j], k.weights[i, s]))
    end
    return found
end

"Moves of one kernel: its derivatives, and what they are multiplied with and added to."
struct MoveSpace{T}
    partials::Block{T}
    additions::Vector{Addition}
    bends::Block{T}
    slope_additions::Vector{Addition}
    slopes::Block{T}            # moves of the slopes, (directions, slopes)
    products::Vector{Product}
end

function MoveSpace{T}(k::Kernel, moves::Moves, moving, directions, base) where {T}
    n = items(k)
    return MoveSpace{T}(zeros(T, n, length(moves.columns)), additions(k, moves.columns, moving), zeros(T, n, length(moves.bent)),
                        slope_additions(k, moves.bent, moving), zeros(T, directions, n * k.ways * outputs(k)), products(k, moves.bent, base))
end

"Evaluates the derivatives of all kernels at the point set in `w`, and what stages assign."
function linearise!(spaces::Vector{MoveSpace{T}}, w::Work{T}) where {T}
    m = w.model
    for (at, (k, s)) in enumerate(zip(both(m), both(w)))
        m.moves[at].first!(s.out, spaces[at].partials, gather!(s.x, w.v, k, 1:k.active))
        at <= length(m.stages) && assign!(w.v, s.out, k)
    end
    return nothing
end

"Moves of the rates, `(directions, rates)`, and of assigned values, from those of states, parameters and forcings in `v`, `(directions, values)`."
function push_rates!(rates, v, spaces::Vector{MoveSpace{T}}, w::Work{T}) where {T}
    m = w.model
    @inbounds for a in m.base+1:size(v, 2), d in axes(v, 1)
        v[d, a] = zero(T)
    end
    fill!(rates, zero(T))
    for at in eachindex(m.stages)
        add_moves!(v, spaces[at].additions, spaces[at].partials, v)
    end
    for at in length(m.stages)+1:length(spaces)
        add_moves!(rates, spaces[at].additions, spaces[at].partials, v)
    end
    return nothing
end
