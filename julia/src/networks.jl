# Networks as stages. A network over its items is an ordinary kernel whose functions are methods of this
# package, so that no network is ever compiled anew. Its weights are one block for all items: the memory of the
# kernel's matrix of inputs, column after column, is
#
#     x = [ features, (items, features) | weights | weights of each layer transposed | workspace ],
#
# the weights as they lie among the parameters, filled up to whole columns, and `bars` is of the same form without what
# follows the weights. What is computed is activation(W h + b), layer by layer; matrices have one column per item and, where
# derivatives to the features are wanted, one more per item and feature: the way of a derivative through the layers is a
# product with the same W. Items are taken in groups, so that the workspace stays small.
#
# What the layers made of a point is kept until it is pulled back through, in the workspace, for several points: that of the
# slopes is the first, and the stages of a step are the others where it is gone back through (`discrete_adjoint.jl`). Gradients
# to weights are products over columns, and taken of all points of a step at once: to read and write them takes longest.

"Most items in a group."
const GROUP = 16

"A layer: `(outputs, inputs)` weights after `weights` others, column by column, then the biases; code and parameter of its activation."
struct Layer
    inputs::Int
    outputs::Int
    bias::Bool
    activation::Int
    shape::Float64
    weights::Int
end

"Where a point has its parts in the memory of the matrix of inputs, a number for each layer."
struct Point
    results::Vector{Int}        # what comes out, and derivatives of that; before them the features
    sums::Vector{Int}           # what the activation takes
    slopes::Vector{Int}         # of the activation
    bends::Vector{Int}          # its second derivatives
    backs::Vector{Int}          # gradients to the sums, and to derivatives of these
end

"A network over its items, and where its parts are in the memory of the matrix of inputs."
struct Network
    layers::Vector{Layer}
    items::Int
    weights::Int                # how many
    turned::Int                 # after this the transposed ones begin
    first::Point                # of slopes, with derivatives to features and second ones
    other::Point                # the next one, without; others follow
    size::Int                   # of one of those
    points::Int                 # in all
    going::Int                  # gradients to the features
    columns::Int                # of the matrix
end

features(net::Network) = net.layers[1].inputs
results(net::Network) = net.layers[end].outputs
block(net::Network) = net.items * features(net)
weight_columns(net::Network) = cld(net.weights, net.items)

# Networks of more items than a small system has keep one point besides the first.
"`widths` and so on hold an entry per layer; `widths` begins with the number of features."
function Network(items, widths, biases, activations, shapes; points = items <= SMALL ? STAGES : 2)
    layers, used = Layer[], 0
    for l in eachindex(biases)
        push!(layers, Layer(widths[l], widths[l+1], biases[l] != 0, activations[l], shapes[l], used))
        used += widths[l+1] * (widths[l] + (biases[l] != 0))
    end
    group = min(items, GROUP)
    turned = items * (widths[1] + cld(used, items))
    at = turned + used
    take(n) = (at += n; at - n)
    function point(ways, bends)
        all = group * (1 + ways)
        return Point([take(n * all) for n in widths], [take(n * all) for n in widths[2:end]], [take(n * group) for n in widths[2:end]],
                     [take(bends ? n * group : 0) for n in widths[2:end]], [take(n * all) for n in widths[2:end]])
    end
    first = point(widths[1], true)
    before = at
    other = point(0, false)
    size = at - before
    take((points - 2) * size)
    going = take(widths[1] * group)
    return Network(layers, items, used, turned, first, other, size, points, going, cld(at, items))
end

"Which weight, counted from one, is at each place of the matrix of inputs behind the features; 0 for none."
function weight_places(net::Network)
    places = zeros(Int, net.items * net.columns - block(net))
    places[1:net.weights] .= 1:net.weights
    for layer in net.layers
        after, n = net.turned - block(net) + layer.weights, layer.outputs * layer.inputs
        places[after+1:after+n] .= layer.weights .+ vec(transpose(reshape(1:n, layer.outputs, layer.inputs)))
    end
    return places
end

"The parts of a point, and how much later each begins."
@inline place(net::Network, point) = point == 1 ? (net.first, 0) : (net.other, (point - 2) * net.size)

# Sums of as many numbers side by side as are kept in registers: as many rows of a product at a time, fewer at its end.
@inline function by_rows(f::F, n) where {F}
    j = 0
    while n - j >= 16
        f(j, Val(16))
        j += 16
    end
    n - j >= 8 && (f(j, Val(8)); j += 8)
    n - j >= 4 && (f(j, Val(4)); j += 4)
    n - j >= 2 && (f(j, Val(2)); j += 2)
    n - j >= 1 && f(j, Val(1))
    return nothing
end

@inline plus(sums::NTuple{B}, m, at, h) where {B} = ntuple(l -> @inbounds(fused(m[at+l], h, sums[l])), Val(B))
@inline taken(m, at, ::Val{B}) where {B} = ntuple(l -> @inbounds(m[at+l]), Val(B))
@inline function store!(m, at, sums::NTuple{B}) where {B}
    ntuple(l -> (@inbounds m[at+l] = sums[l]; nothing), Val(B))
    return nothing
end

"`columns` columns of the product of a matrix with `n` rows and `k` columns, begun after `w`, from those begun after `x`; to after `y`."
function product!(m, w, n, k, y, x, columns)
    for c in 1:columns
        to, from = y + (c - 1) * n, x + (c - 1) * k
        by_rows(n) do j, rows
            sums = map(zero, taken(m, to + j, rows))
            for i in 1:k
                sums = plus(sums, m, w + (i - 1) * n + j, @inbounds(m[from+i]))
            end
            store!(m, to + j, sums)
        end
    end
    return nothing
end

"""
Adds `Y X'` over columns to the gradient to `n` times `k` weights, begun after `w` in `bars`: the first columns begin after `y` and `x` in `m`,
further ones so much later, and those of `more` points `size` later each.
"""
function outer_product!(bars, w, n, k, m, y, x, columns, more, size)
    by_rows(n) do j, rows
        for i in 1:k
            at = w + (i - 1) * n + j
            sums = taken(bars, at, rows)
            for point in 0:more, c in 0:columns-1
                sums = plus(sums, m, y + point * size + c * n + j, @inbounds(m[x+point*size+c*k+i]))
            end
            store!(bars, at, sums)
        end
    end
    return nothing
end

"""
Takes `count` items after `before` through all layers, to a point; with `D` derivatives of the activations, and in the first with
the derivatives to the features where `T` says so.
"""
function through!(net::Network, m, point, before, count, derivatives::Val{D}, ::Val{T}) where {D,T}
    n, w = features(net), block(net)
    ways = T ? n : 0
    at, later = place(net, point)
    features_at = at.results[1] + later
    @inbounds for c in 1:count, i in 1:n
        m[features_at+(c-1)*n+i] = m[before+c, i]
    end
    # The derivative of a feature to itself is one.
    @inbounds for way in 1:ways, c in 1:count, i in 1:n
        m[features_at+(way*count+c-1)*n+i] = i == way ? one(eltype(m)) : zero(eltype(m))
    end
    for (l, layer) in enumerate(net.layers)
        sums, out, slopes, o = at.sums[l] + later, at.results[l+1] + later, at.slopes[l] + later, layer.outputs
        matrix, beyond = w + layer.weights, count * o
        product!(m, matrix, o, layer.inputs, sums, at.results[l] + later, (1 + ways) * count)
        if layer.bias
            bias = matrix + o * layer.inputs
            @inbounds for c in 1:count
                @simd ivdep for j in 1:o
                    m[sums+(c-1)*o+j] += m[bias+j]
                end
            end
        end
        with_activation(a -> activate!(a, m, beyond, sums, out, slopes, at.bends[l], layer.shape, derivatives), layer.activation)
        @inbounds for way in 1:ways
            @simd ivdep for i in 1:beyond
                m[out+way*beyond+i] = m[slopes+i] * m[sums+way*beyond+i]
            end
        end
    end
    return nothing
end

"One of the functions below, of a network, as a kernel calls it."
struct OfNetwork{F}
    function_of::F
    net::Network
end

(f::OfNetwork)(arguments::Vararg{Any,N}) where {N} = f.function_of(f.net, arguments...)

"Calls `f(before, count)` for each group of items."
@inline function groups(f, net::Network)
    for before in 0:GROUP:net.items-1
        f(before, min(GROUP, net.items - before))
    end
end

value!(net::Network, out, x) = results!(net, out, x, 2, Val(0))

"The results, with what `pull!` goes back through at this point; of more items than one group that is computed again."
partials!(net::Network, out, x, point) = results!(net, out, x, point, Val(1))

function results!(net::Network, out, x, point, derivatives)
    groups(net) do before, count
        through!(net, x, point, before, count, derivatives, Val(false))
        take_results!(out, net, x, point, before, count)
    end
    return nothing
end

function take_results!(out, net::Network, x, point, before, count)
    at, later = place(net, point)
    last, o = at.results[end] + later, results(net)
    @inbounds for c in 1:count, j in 1:o
        out[before+c, j] = x[last+(c-1)*o+j]
    end
    return nothing
end

"The results at a point that was kept."
recall!(net::Network, out, x, point) = take_results!(out, net, x, point, 0, net.items)

function slopes!(net::Network, out, slopes, x)
    groups(net) do before, count
        through!(net, x, 1, before, count, Val(2), Val(true))
        take_results!(out, net, x, 1, before, count)
        last, o, n = net.first.results[end], results(net), features(net)
        @inbounds for c in 1:count, j in 1:o, i in 1:n
            slopes[before+c, (j-1)*n+i] = x[last+(i*count+c-1)*o+j]
        end
    end
    return nothing
end

"""
Adds the gradient of the sum of `seeds` times the results at a point, that of the last `partials!` there, to `bars`. Where `later` says so,
that to the weights is left to `bend!`.
"""
function pull!(net::Network, bars, seeds, x, point, later = false)
    groups(net) do before, count
        net.items > GROUP && through!(net, x, point, before, count, Val(1), Val(false))
        at, shift = place(net, point)
        here, o = at.backs[end] + shift, results(net)
        @inbounds for c in 1:count, j in 1:o
            x[here+(c-1)*o+j] = seeds[before+c, j]
        end
        pull_layers!(bars, net, x, point, before, count, 0)
        later || weigh!(bars, net, x, point, count, 0)
    end
    return nothing
end

"Takes gradients to the results of `count` items after `before`, and to their derivatives in `ways` ways, to all sums and features."
function pull_layers!(bars, net::Network, x, point, before, count, ways)
    at, later = place(net, point)
    for l in reverse(eachindex(net.layers))
        layer, here = net.layers[l], at.backs[l] + later
        beyond = count * layer.outputs
        slopes, bends, sums = at.slopes[l] + later, at.bends[l], at.sums[l] + later
        @inbounds @simd ivdep for i in 1:beyond
            x[here+i] *= x[slopes+i]
        end
        @inbounds for way in 1:ways
            move = way * beyond
            @simd ivdep for i in 1:beyond
                bar = x[here+move+i]
                x[here+i] = fused(bar * x[bends+i], x[sums+move+i], x[here+i])
                x[here+move+i] = bar * x[slopes+i]
            end
        end
        there = l > 1 ? at.backs[l-1] + later : net.going
        product!(x, net.turned + layer.weights, layer.inputs, layer.outputs, there, here, (l > 1 ? 1 + ways : 1) * count)
    end
    n = features(net)
    @inbounds for c in 1:count, i in 1:n
        bars[before+c, i] += x[net.going+(c-1)*n+i]
    end
    return nothing
end

"Adds the gradients to the weights of what has been pulled back through at a point, and at `more` points after it."
function weigh!(bars, net::Network, x, point, count, ways, more = 0)
    at, later = place(net, point)
    for (l, layer) in enumerate(net.layers)
        w, o, k, y = block(net) + layer.weights, layer.outputs, layer.inputs, at.backs[l] + later
        outer_product!(bars, w, o, k, x, y, at.results[l] + later, (1 + ways) * count, more, net.size)
        layer.bias || continue
        @inbounds for point in 0:more, c in 0:count-1
            @simd ivdep for j in 1:o
                bars[w+o*k+j] += x[y+point*net.size+c*o+j]
            end
        end
    end
    return nothing
end

"""
Adds the gradient of the sum of `bent` times the slopes and of `seeds` times the results to `bars`, at the point of the last `slopes!`; and what
was left of the gradients to the weights at the points after it, up to number `kept`.
"""
function bend!(net::Network, bars, bent, seeds, x, kept = 0)
    n, o = features(net), results(net)
    groups(net) do before, count
        net.items > GROUP && through!(net, x, 1, before, count, Val(2), Val(true))
        here = net.first.backs[end]
        @inbounds for c in 1:count, j in 1:o
            x[here+(c-1)*o+j] = seeds[before+c, j]
            for way in 1:n
                x[here+(way*count+c-1)*o+j] = bent[before+c, (j-1)*n+way]
            end
        end
        pull_layers!(bars, net, x, 1, before, count, n)
        weigh!(bars, net, x, 1, count, n)
        kept > 1 && weigh!(bars, net, x, 2, count, 0, kept - 2)
    end
    return nothing
end

"""
    network_stage(items, widths, biases, activations, shapes, first, gather, targets) -> Kernel

A stage that assigns the outputs of a network. `first` is the position of its first weight in `v`; `gather` holds those of the
features, `(items, features)`, and `targets` those of the outputs, `(items, outputs)`.
"""
function network_stage(items, widths, biases, activations, shapes, first, gather, targets)
    net = Network(items, widths, biases, activations, shapes)
    # Where the workspace, and what fills up the last column of weights, is gathered from does not matter.
    rest = first .- 1 .+ max.(1, weight_places(net))
    along, variable = features(net), features(net) + weight_columns(net)
    sources = map(f -> OfNetwork(f, net), (value!, slopes!, nothing, nothing, sides!))
    return Kernel(sources, hcat(gather, reshape(rest, items, :)),
                  collect(1:results(net)), targets, ones(size(targets)), along, along, variable, located_units(net); network = net)
end
