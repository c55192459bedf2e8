# Networks as stages. A network over its items is an ordinary kernel whose functions are methods of this
# package, so that no network is ever compiled anew. Its weights are one block for all items: the memory of the
# kernel's matrix of inputs, column after column, is
#
#     x = [ features, (items, features) | weights | workspace ],
#
# the weights as they lie among the parameters, filled up to whole columns, and `bars` is of the same form. What
# is computed is activation(W h + b), layer by layer; matrices have one column per item and, where derivatives
# to the features are wanted, one more per item and feature: the way of a derivative through the layers is a product
# with the same W. Items are taken in groups, so that the workspace stays small.

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

"A network over its items, and where its parts are in the memory of the matrix of inputs."
struct Network
    layers::Vector{Layer}
    items::Int
    weights::Int                # how many
    results::Vector{Int}        # per layer: what comes out, and derivatives of that; before them the features
    sums::Vector{Int}           # what the activation takes
    slopes::Vector{Int}         # of the activation
    bends::Vector{Int}          # its second derivatives
    going::NTuple{2,Int}        # gradients on their way back, in turns
    columns::Int                # of the matrix
end

features(net::Network) = net.layers[1].inputs
results(net::Network) = net.layers[end].outputs
block(net::Network) = net.items * features(net)
weight_columns(net::Network) = cld(net.weights, net.items)

"`widths` and so on hold an entry per layer; `widths` begins with the number of features."
function Network(items, widths, biases, activations, shapes)
    layers, used = Layer[], 0
    for l in eachindex(biases)
        push!(layers, Layer(widths[l], widths[l+1], biases[l] != 0, activations[l], shapes[l], used))
        used += widths[l+1] * (widths[l] + (biases[l] != 0))
    end
    group = min(items, GROUP)
    all = group * (1 + widths[1])
    weights = cld(used, items)
    at = items * (widths[1] + weights)
    take(n) = (at += n; at - n)
    results = [take(n * all) for n in widths]
    sums = [take(n * all) for n in widths[2:end]]
    slopes, bends = ([take(n * group) for n in widths[2:end]] for _ in 1:2)
    going = (take(maximum(widths) * all), take(maximum(widths) * all))
    return Network(layers, items, used, results, sums, slopes, bends, going, cld(at, items))
end

# Sums of as many numbers side by side as are kept in registers.
const LANES = 8
@inline plus(sums, m, at, h) = ntuple(l -> @inbounds(muladd(m[at+l], h, sums[l])), Val(LANES))
@inline store!(m, at, sums) = ntuple(l -> @inbounds(m[at+l] = sums[l]), Val(LANES))

# Products with the matrix of a layer, which begins after `w`: all in the memory of one or two matrices.

"`columns` columns of `W X`, begun after `y`, from those begun after `x`."
function product!(m, layer::Layer, w, y, x, columns)
    n, zeros = layer.outputs, ntuple(_ -> zero(eltype(m)), Val(LANES))
    @inbounds for c in 1:columns
        to, from = y + (c - 1) * n, x + (c - 1) * layer.inputs
        for j in 0:LANES:n-LANES
            sums = zeros
            for i in 1:layer.inputs
                sums = plus(sums, m, w + (i - 1) * n + j, m[from+i])
            end
            store!(m, to + j, sums)
        end
        for j in n-n%LANES+1:n
            sum = zero(eltype(m))
            for i in 1:layer.inputs
                sum = muladd(m[w+(i-1)*n+j], m[from+i], sum)
            end
            m[to+j] = sum
        end
    end
    return nothing
end

"`columns` columns of `W' Y`."
function transposed_product!(m, layer::Layer, w, x, y, columns)
    n = layer.outputs
    @inbounds for c in 1:columns
        to, from = x + (c - 1) * layer.inputs, y + (c - 1) * n
        for i in 1:layer.inputs
            sum, column = zero(eltype(m)), w + (i - 1) * n
            @simd for j in 1:n
                sum = muladd(m[column+j], m[from+j], sum)
            end
            m[to+i] = sum
        end
    end
    return nothing
end

"Adds `Y X'` over `columns` columns to the gradient to `W`, begun after `w` in `bars`."
function outer_product!(bars, layer::Layer, w, m, y, x, columns)
    n, k = layer.outputs, layer.inputs
    @inbounds for i in 1:k, c in 1:columns
        h, column, from = m[x+(c-1)*k+i], w + (i - 1) * n, y + (c - 1) * n
        if n < LANES
            for j in 1:n
                bars[column+j] = muladd(h, m[from+j], bars[column+j])
            end
        else
            @simd ivdep for j in 1:n
                bars[column+j] = muladd(h, m[from+j], bars[column+j])
            end
        end
    end
    return nothing
end

"""
Takes `count` items after `before` through all layers; with `D` derivatives of the activations, and with the derivatives
to the features where `T` says so.
"""
function through!(net::Network, m, before, count, derivatives::Val{D}, ::Val{T}) where {D,T}
    n, w = features(net), block(net)
    ways = T ? n : 0
    @inbounds for c in 1:count, i in 1:n
        m[net.results[1]+(c-1)*n+i] = m[before+c, i]
    end
    for (l, layer) in enumerate(net.layers)
        sums, out, o = net.sums[l], net.results[l+1], layer.outputs
        matrix, beyond = w + layer.weights, count * o
        product!(m, layer, matrix, sums, net.results[l], count)
        if layer.bias
            bias = matrix + o * layer.inputs
            @inbounds for c in 1:count
                @simd ivdep for j in 1:o
                    m[sums+(c-1)*o+j] += m[bias+j]
                end
            end
        end
        with_activation(at -> activate!(at, m, beyond, sums, out, net.slopes[l], net.bends[l], layer.shape, derivatives),
                        layer.activation)
        T || continue
        if l == 1
            @inbounds for way in 1:ways, c in 1:count
                @simd ivdep for j in 1:o
                    m[sums+(way*count+c-1)*o+j] = m[matrix+(way-1)*o+j]
                end
            end
        else
            product!(m, layer, matrix, sums + beyond, net.results[l] + count * layer.inputs, ways * count)
        end
        @inbounds for way in 1:ways
            @simd ivdep for i in 1:beyond
                m[out+way*beyond+i] = m[net.slopes[l]+i] * m[sums+way*beyond+i]
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

value!(net::Network, out, x) = results!(net, out, x, Val(0))

# Of `partials!` of a stage nothing but the results is wanted: what the layers made of them stays in the workspace, for `pull!`.
partials!(net::Network, out, partials, x) = results!(net, out, x, Val(1))

function results!(net::Network, out, x, derivatives)
    groups(net) do before, count
        through!(net, x, before, count, derivatives, Val(false))
        take_results!(out, net, x, before, count)
    end
    return nothing
end

function take_results!(out, net::Network, x, before, count)
    last, o = net.results[end], results(net)
    @inbounds for c in 1:count, j in 1:o
        out[before+c, j] = x[last+(c-1)*o+j]
    end
    return nothing
end

function slopes!(net::Network, out, slopes, x)
    groups(net) do before, count
        through!(net, x, before, count, Val(1), Val(true))
        take_results!(out, net, x, before, count)
        last, o, n = net.results[end], results(net), features(net)
        @inbounds for c in 1:count, j in 1:o, i in 1:n
            slopes[before+c, (j-1)*n+i] = x[last+(i*count+c-1)*o+j]
        end
    end
    return nothing
end

# At the point of the last `partials!`, or `bend!`: the workspace is that of the only group of items, or of the last one.
function pull!(net::Network, bars, seeds, x)
    groups(net) do before, count
        net.items > GROUP && through!(net, x, before, count, Val(1), Val(false))
        here, o = first(net.going), results(net)
        @inbounds for c in 1:count, j in 1:o
            x[here+(c-1)*o+j] = seeds[before+c, j]
        end
        pull_layers!(bars, net, x, before, count, 0)
    end
    return nothing
end

"Takes gradients to the results of `count` items after `before`, and to their derivatives in `ways` ways, to weights and features."
function pull_layers!(bars, net::Network, x, before, count, ways)
    here, there = net.going
    for l in reverse(eachindex(net.layers))
        beyond = count * net.layers[l].outputs
        slopes, bends, sums = net.slopes[l], net.bends[l], net.sums[l]
        @inbounds @simd ivdep for i in 1:beyond
            x[here+i] *= x[slopes+i]
        end
        @inbounds for way in 1:ways
            at = way * beyond
            @simd ivdep for i in 1:beyond
                bar = x[here+at+i]
                x[here+i] = muladd(bar * x[bends+i], x[sums+at+i], x[here+i])
                x[here+at+i] = bar * x[slopes+i]
            end
        end
        back!(bars, net, x, l, here, there, count, ways)
        here, there = there, here
    end
    n = features(net)
    @inbounds for c in 1:count, i in 1:n
        bars[before+c, i] += x[here+(c-1)*n+i]
    end
    return nothing
end

"Gradients to the weights of a layer, from those to its sums after `here`, and those to what it took, after `there`."
function back!(bars, net::Network, x, l, here, there, count, ways)
    layer, o = net.layers[l], net.layers[l].outputs
    w = block(net) + layer.weights
    outer_product!(bars, layer, w, x, here, net.results[l], count)
    if layer.bias
        bias = w + o * layer.inputs
        @inbounds for c in 1:count
            @simd ivdep for j in 1:o
                bars[bias+j] += x[here+(c-1)*o+j]
            end
        end
    end
    if l > 1
        outer_product!(bars, layer, w, x, here + count * o, net.results[l] + count * layer.inputs, ways * count)
        transposed_product!(x, layer, w, there, here, (1 + ways) * count)
    else
        # The derivative of a feature to itself is one.
        @inbounds for way in 1:ways, c in 1:count
            @simd ivdep for j in 1:o
                bars[w+(way-1)*o+j] += x[here+(way*count+c-1)*o+j]
            end
        end
        transposed_product!(x, layer, w, there, here, count)
    end
    return nothing
end

function bend!(net::Network, bars, bent, x)
    n, o = features(net), results(net)
    groups(net) do before, count
        through!(net, x, before, count, Val(2), Val(true))
        here = first(net.going)
        @inbounds for c in 1:count, j in 1:o
            x[here+(c-1)*o+j] = 0.0
            for way in 1:n
                x[here+(way*count+c-1)*o+j] = bent[before+c, (j-1)*n+way]
            end
        end
        pull_layers!(bars, net, x, before, count, n)
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
    rest = fill(first, items * (net.columns - features(net)))
    rest[1:net.weights] .= first .+ (0:net.weights-1)
    along, variable = features(net), features(net) + weight_columns(net)
    sources = map(f -> OfNetwork(f, net), (value!, slopes!, pull!, bend!, sides!))
    return Kernel(sources, hcat(gather, reshape(rest, items, :)),
                  collect(1:results(net)), targets, ones(size(targets)), along, along, variable, located_units(net);
                  partials = OfNetwork(partials!, net))
end
