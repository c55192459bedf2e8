# Steady states of the models of `runtests.jl`, and their derivatives against differences.

@testset "steady states of $n cells, $name" for n in (3, 20), (name, made) in (("one stage", column), ("four stages", staged))
    model, p, open = made(n), fill(0.7, n), fill(Inf, n)
    settings = Settings("Newton", 1e-10, 1e-12, 300)
    found(p, f) = steady(model, fill(1.2, n), p, [f], -open, open, settings)
    result = found(p, 1.1)
    @test result.codes == "Success"
    @test maximum(abs, result.rates[1:n]) < 1e-12
    # What comes in goes out.
    @test result.rates[n+1] ≈ 1.21 && result.rates[n+2] ≈ 1.21
    y_bar, q_bar, p_dot, f_dot = cos.(1:n), [0.3, -0.8], sin.(1:n), [0.4]
    loss(h) = (r = found(p .+ h .* p_dot, 1.1 + 0.4h); dot(y_bar, r.y) + dot(q_bar, r.rates[n+1:n+2]))
    central(h) = (loss(h) - loss(-h)) / 2h
    exact = (4central(5e-4) - central(1e-3)) / 3
    bars = steady_adjoint(model, vec(result.y), p, [1.1], y_bar, q_bar, [1])
    @test dot(bars.p, p_dot) + bars.f[1] * 0.4 ≈ exact rtol = 1e-8
    dots = steady_tangent(model, vec(result.y), p, [1.1], p_dot, f_dot, [1])
    @test dot(y_bar, dots.y) + dot(q_bar, dots.q) ≈ exact rtol = 1e-8
    # Where nothing drains there is none.
    closed = steady(model, fill(1.2, n), zeros(n), [1.1], -open, open, settings)
    @test closed.codes == "Singular" && closed.continued == [true]
end
