# Everything but a model's local functions is compiled with the package: a small stiff model is solved
# and differentiated, dense, tridiagonal and sparse, with the automatic choice of solver and sensitivity.

@setup_workload begin
    # A chain of `n` cells with nonlinear exchange and an outflow, `loop` closing it into a ring.
    function chain(n; loop = false)
        gather = permutedims([1:n-1 2:n fill(n + 1, n - 1)])
        loop && (gather = hcat(gather, [n, 1, n + 1]))
        targets, weights = gather[1:2, :], repeat([-1.0, 1.0], 1, size(gather, 2))
        exchange = Kernel((a, b, k) -> (k * (a * a - b), k * (a * a - b)), gather, targets, weights, 2, 3)
        supply = Kernel((a, f) -> (f - a, f), reshape([1, n + 2], 2, 1), reshape([1, n + 1], 2, 1), ones(2, 1), 1, 2)
        return Model(n, 1, 1, 1, n + 2, Float64[], (), (exchange, supply))
    end
    @compile_workload begin
        breaks, p = [0.0, 0.5, 1.0], fill(2.0, 1, 1)
        for model in (chain(3), chain(20), chain(20; loop = true)), nodes in 1:2
            settings = Settings("Rodas5P", 1e-4, 1e-6, 1000)
            y0, f = fill(0.3, model.n_states, 1), fill(0.5, 1, nodes, 2, 1)
            for sensitivity in (model.n_states == 3 ? ("none", "forward") : ("none", "gauss"))
                result = forward(model, breaks, y0, p, f, settings, sensitivity)
                sensitivity == "none" && continue
                backward(model, result.tape, one.(result.y), one.(result.q), [1])
            end
        end
    end
end
