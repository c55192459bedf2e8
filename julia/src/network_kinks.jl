# Kinks of networks: where a unit of a ReLU turns on or off, slopes jump, as they do at a `min` in a local function. Steps
# end there for the same reason, and are refused by the same means (`discontinuities.jl`): each unit is a switch.

# Units, of all items together, whose kinks are located. With more of them, steps that end at each would be too short.
const LOCATED = 64

"May the slope of its activation jump, as those of ReLU, and of ELU but for a parameter of one, do?"
kinked(layer::Layer) = layer.activation == 3 || (layer.activation == 7 && layer.shape != 1)

"How many switches a network has: a unit each, or none where there are too many."
function located_units(net::Network)
    units = sum(layer.outputs for layer in net.layers if kinked(layer); init = 0)
    return units * net.items <= LOCATED ? units : 0
end

"On which side of its kink each unit is, a column of `marks` for each."
function sides!(net::Network, marks, x)
    groups(net) do before, count
        through!(net, x, 2, before, count, Val(0), Val(false))
        column = 0
        for (l, layer) in enumerate(net.layers)
            kinked(layer) || continue
            o = layer.outputs
            @inbounds for c in 1:count, j in 1:o
                marks[before+c, column+j] = pick(x[net.other.sums[l]+(c-1)*o+j] > 0.0, one(eltype(x)), zero(eltype(x)))
            end
            column += o
        end
    end
    return nothing
end
