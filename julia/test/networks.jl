# The four functions of a network against its values by dual numbers, for every activation, for few items and several groups.

using PydiffgeoSolvers: Network, value!, slopes!, partials!, pull!, bend!, weight_columns, weight_places

@testset "networks: activation $code, $items items" for code in 0:7, items in (1, 3, 35)
    widths, shapes = [3, 9, 4, 2], [1.0, 1.7, 1.0]
    net = Network(items, widths, [1, 0, 1], [code, code, 0], shapes)
    n, o, used = 3, 2, items * 3 + net.weights
    given = sin.(1.3 .* (1:used))
    function filled(x)
        all = zeros(eltype(x), items, net.columns)
        all[1:used] .= x
        for (at, weight) in enumerate(weight_places(net))
            weight > 0 && (all[items*3+at] = x[items*3+weight])
        end
        return all
    end
    function values(x)
        out = zeros(eltype(x), items, o)
        value!(net, out, filled(x))
        return out
    end
    function slopes(x)
        out, found = zeros(eltype(x), items, o), zeros(eltype(x), items, o * n)
        slopes!(net, out, found, filled(x))
        @test out == values(x)
        return found
    end
    # The first item by hand.
    weights = given[3items+1:end]
    A, a, B, C, c = reshape(weights[1:27], 9, 3), weights[28:36], reshape(weights[37:72], 4, 9), reshape(weights[73:80], 2, 4), weights[81:82]
    alpha = 1.7
    act(x, p) = (x, tanh(x), 1 / (1 + exp(-x)), max(x, 0.0), log1p(exp(p * x)) / p, x / (1 + exp(-x)),
                 0.5x * (1 + PydiffgeoSolvers.error_function(x / sqrt(2.0))), x > 0 ? x : p * expm1(x))[code+1]
    byhand = C * act.(B * act.(A * reshape(given[1:3items], items, 3)[1, :] .+ a, 1.0), alpha) .+ c
    @test values(given)[1, :] ≈ byhand rtol = 1e-12
    # Each item by its own features.
    jacobian = ForwardDiff.jacobian(x -> vec(values(x)), given)
    found = slopes(given)
    for i in (1, items), j in 1:o, k in 1:n
        @test found[i, (j-1)*n+k] ≈ jacobian[i+(j-1)*items, i+(k-1)*items] rtol = 1e-10 atol = 1e-12
    end
    seeds, bent = cos.(reshape(1.0:items*o, items, o)), cos.(reshape(1.0:items*o*n, items, o * n))
    x, bars = filled(given), zeros(items, n + weight_columns(net))
    partials!(net, zeros(items, o), x, 2)
    pull!(net, bars, seeds, x, 2)
    @test bars[1:used] ≈ jacobian' * vec(seeds) rtol = 1e-10
    bars .= 0
    slopes!(net, zeros(items, o), zeros(items, o * n), x)
    bend!(net, bars, bent, zeros(items, o), x)
    expected = ForwardDiff.gradient(x -> sum(bent .* slopes(x)), given)
    @test bars[1:used] ≈ expected rtol = 1e-9 atol = 1e-12
    # With gradients to the results, and those to the weights that other points have left.
    bars .= 0
    kept = net.points > 2
    for point in 2:net.points
        partials!(net, zeros(items, o), x, point)
        pull!(net, bars, seeds, x, point, kept)
    end
    kept && @test all(iszero, bars[items*n+1:end])
    slopes!(net, zeros(items, o), zeros(items, o * n), x)
    bend!(net, bars, bent, seeds, x, kept ? net.points : 0)
    @test bars[1:used] ≈ expected + net.points * (jacobian' * vec(seeds)) rtol = 1e-9 atol = 1e-12
    @test all(iszero, bars[used+1:end])
end
