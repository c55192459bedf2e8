using LinearAlgebra, SparseArrays, Test
using ForwardDiff: ForwardDiff
using PydiffgeoSolvers
using PydiffgeoSolvers: Kernel, Model, SOLVERS, Settings, Work, backward, build, forward, power, set_point!

# A column of cells with a closure: exchange depends on a nonlinear function of the state, the first
# cell is fed by a forcing, the last one drains, and both fluxes are integrated.
function column(n)
    N, p, f = n, n, 1
    rate, feed = N .+ (1:n), N + p + 1
    value = N + p + f .+ (1:n)
    closure = Kernel((u, k) -> (k * power(u, 1.8),), [(1:n)'; rate'], reshape(collect(value), 1, n), ones(1, n), 1, 2)
    exchange = Kernel((a, b) -> (a - b, a - b), [value[1:n-1]'; value[2:n]'], [(1:n-1)'; (2:n)'],
                      repeat([-1.0, 1.0], 1, n - 1), 2, 2)
    top = Kernel(f -> (f, f), fill(feed, 1, 1), reshape([1, n + 1], 2, 1), ones(2, 1), 0, 1)
    bottom = Kernel(v -> (v, v), fill(value[n], 1, 1), reshape([n, n + 2], 2, 1), reshape([-1.0, 1.0], 2, 1), 1, 1)
    return Model(N, p, f, 2, N + p + f + n, Float64[], (closure,), (exchange, top, bottom))
end

relative(a, b) = maximum(abs, a .- b) / maximum(abs, b)

@testset "powers and undefined values" begin
    for x in (0.3, 2.0), y in (-1.5, 0.5, 3.0)
        @test power(x, y) ≈ x^y rtol = 1e-14
        @test ForwardDiff.derivative(x -> power(x, y), x) ≈ y * x^(y - 1) rtol = 1e-13
        @test ForwardDiff.derivative(y -> power(x, y), y) ≈ x^y * log(x) rtol = 1e-13
    end
    @test power(0.0, 2.5) == 0 && ForwardDiff.derivative(x -> power(x, 2.5), 0.0) == 0
    @test isnan(power(-1.0, 0.5)) && power(-2.0, 3.0) == -8
end

@testset "Jacobian and transposed products" begin
    model = column(6)
    v = collect(range(0.3, 0.9; length = model.n_values))
    N, total = model.n_states, model.n_states + model.n_fluxes
    function rates(x)
        w, out = vcat(x, zeros(eltype(x), 6)), zeros(eltype(x), total)
        # The wrapped function takes the solver's dual numbers; pad the inputs to its size.
        model.rates!(out, w)
        return out
    end
    x = v[1:13]
    h = 1e-6
    J = reduce(hcat, [(rates(x + h * e) - rates(x - h * e)) / 2h for e in eachcol(Matrix(1.0I, 13, 13))])
    w = Work{Float64}(model, false)
    w.v .= v
    model.jacobian!(w.entries, w.v, w.slopes)
    found = copy(model.pattern)
    nonzeros(found) .= w.entries
    @test Matrix(found)[:, 1:N] ≈ J[:, 1:N] rtol = 1e-8
    bars, bar = collect(range(-1.0, 1.0; length = total)), zeros(model.n_values)
    model.pull!(bar, w.v, bars, [Float64[]])
    @test bar[1:13] ≈ J' * bars rtol = 1e-8
    turned = copy(model.transposed)
    nonzeros(turned) .= w.entries[model.places]
    @test turned == sparse(found[1:N, 1:N]')
    @test all(abs(i - j) <= 1 for (i, j, _) in zip(findnz(found[1:N, 1:N])...))
end

breaks = [0.0, 0.4, 1.0]

function problem(n, nodes)
    y0 = reshape(collect(range(0.4, 0.8; length = n)), n, 1)
    p = reshape(collect(range(1.0, 2.0; length = n)), n, 1)
    return y0, p, reshape(collect(range(0.2, 0.9; length = 2nodes)), 1, nodes, 2, 1)
end

"A scalar of the solution and its gradients with the given settings."
function gradients(model, y0, p, f, settings, sensitivity)
    result = forward(model, breaks, y0, p, f, settings, sensitivity)
    @assert result.codes == "Success"
    weight = sin.(1:length(result.y))
    loss = dot(weight, vec(result.y)) + 2 * sum(abs2, result.q)
    back = backward(model, result.tape, reshape(weight, size(result.y)), 4 .* result.q, [1])
    return loss, result, back
end

@testset "gradients: $solver, $nodes forcing node(s), $n cells" for solver in ("Rodas5P", "FBDF"), nodes in 1:2, n in (4, 20)
    model = column(n)
    y0, p, f = problem(n, nodes)
    tight = Settings(solver, 1e-10, 1e-12, 100_000)
    _, result, gauss = gradients(model, y0, p, f, tight, "gauss")
    _, _, dual = gradients(model, y0, p, f, Settings("Rodas5P", 1e-10, 1e-12, 100_000), "forward")
    tolerance = solver == "FBDF" ? 1e-5 : 1e-7
    for name in (:y0, :p, :f)
        @test relative(getfield(gauss, name), getfield(dual, name)) < tolerance
    end
    # What is stored changes by what comes in less what goes out.
    @test sum(result.y[:, end, 1]) - sum(y0) ≈ sum(result.q[1, :, 1]) - sum(result.q[2, :, 1]) atol = 1e-9
end

@testset "every solver: $solver" for solver in SOLVERS
    model = column(4)
    y0, p, f = problem(4, 1)
    reference = forward(model, breaks, y0, p, f, Settings("Rodas5P", 1e-11, 1e-13, 100_000), "none")
    result = forward(model, breaks, y0, p, f, Settings(solver, 1e-7, 1e-9, 100_000), "none")
    @test relative(result.y, reference.y) < 1e-4   # TRBDF2 is of second order
end

@testset "failures are codes, and their gradients zero" begin
    model = column(4)
    y0, p, f = problem(4, 1)
    two(x) = cat(x, x; dims = ndims(x))
    starts = two(y0)
    starts[:, 2] .= -0.5   # the closure is undefined for negative states
    settings = Settings("Rodas5P", 1e-6, 1e-8, 1000)
    result = forward(model, breaks, starts, two(p), two(f), settings, "gauss")
    codes = split(result.codes, ",")
    @test codes[1] == "Success" && codes[2] != "Success"
    @test all(isfinite, result.y[:, :, 1]) && all(isnan, result.y[:, 2:end, 2])
    short = forward(model, breaks, y0, p, f, Settings("Rodas5P", 1e-8, 1e-10, 5), "gauss")
    @test short.codes == "MaxIters"
    back = backward(model, result.tape, one.(result.y), one.(result.q), [1])
    @test all(iszero, back.p[:, 2]) && any(!iszero, back.p[:, 1])
    @test_throws ArgumentError forward(model, breaks, y0, p, f, Settings("none", 1e-6, 1e-8, 10), "none")
end

@testset "building from source" begin
    source = "function (u, k)\n    t = (k * u)\n    return ((-t), t,)\nend"
    kernel = (source, reshape([1, 2], 2, 1), reshape([1, 2], 2, 1), ones(2, 1), 1, 2)
    model = build(1, 1, 0, 1, 2, Float64[], [], [kernel])
    result = Base.invokelatest(forward, model, [0.0, 1.0], fill(1.0, 1, 1), fill(2.0, 1, 1), zeros(0, 1, 1, 1),
                               Settings("Rodas5P", 1e-9, 1e-11, 1000), "none")
    @test result.y[1, 2, 1] ≈ exp(-2) rtol = 1e-8
    @test result.q[1, 1, 1] ≈ 1 - exp(-2) rtol = 1e-8
end
