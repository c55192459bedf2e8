using LinearAlgebra, SparseArrays, Test
using PydiffgeoSolvers
# ForwardDiff too comes with the solvers: the environment of Python names them alone.
using PydiffgeoSolvers: BothFactors, Elimination, ForwardDiff, MemberRecord, Kernel, Model, StepRecord, SciMLBase, SOLVERS, Settings, StepAdjoint, Work,
    backward, build, collect_parameters!, core_of, cosine, derived, exponential, forward, hyperbolic, init, jacobian!, logarithm,
    arctangent, error_function, exponential_less_one, frozen, hyperbolic_cosine, hyperbolic_sine, logarithm_of_one_and,
    ode_problem, power, pull!, pull_steps!, rates!, ready!, remember!, set_forcing!, set_interval!, set_parameters!, sine,
    set_point!, steady, steady_adjoint, steady_tangent, step!, tangent

# A column of cells with a closure: exchange depends on a nonlinear function of the state, the first
# cell is fed by a forcing, the last one drains, and both fluxes are integrated.
function column(n)
    N, p, f = n, n, 1
    rate, feed = N .+ (1:n), N + p + 1
    value = N + p + f .+ (1:n)
    closure = Kernel(derived((u, k) -> (k * power(u, 1.8),), 1, 1, 2), [1:n rate], [1], reshape(collect(value), n, 1),
                     ones(n, 1), 1, 1, 2)
    exchange = Kernel(derived((a, b) -> (a - b,), 1, 2, 2), [value[1:n-1] value[2:n]], [1, 1], [1:n-1 2:n],
                      repeat([-1.0 1.0], n - 1), 2, 2, 2)
    top = Kernel(derived(f -> (f * f,), 1, 1, 1), fill(feed, 1, 1), [1, 1], [1 n + 1], ones(1, 2), 0, 1, 1)
    bottom = Kernel(derived((v, k) -> (v * k,), 1, 1, 2), [value[n] rate[n]], [1, 1], [n n + 2], [-1.0 1.0], 1, 1, 2)
    return Model(N, p, f, 2, N + p + f + n, Float64[], [closure], [exchange, top, bottom])
end

# The same in four stages: values of cells that depend on the forcing, flows across faces that read them, sums of these
# into cells, with a weight of a half, and the square of a sum. Rates read all of them.
function staged(n)
    N, p, f = n, n, 1
    rate, feed, base = N .+ (1:n), N + p + 1, N + p + f
    value, flow, total, square = base .+ (1:n), base + n .+ (1:n-1), base + 2n - 1 .+ (1:n), base + 3n - 1 .+ (1:n)
    left, right = 1:n-1, 2:n
    stages = [
        Kernel(derived((u, f, k) -> (k * power(u, 1.8) * (1 + 0.2f),), 1, 2, 3), [1:n fill(feed, n) rate], [1],
               reshape(collect(value), n, 1), ones(n, 1), 1, 2, 3),
        Kernel(derived((a, b, u) -> ((a - b) * (1 + 0.1u),), 1, 3, 3), [value[left] value[right] left], [1],
               reshape(collect(flow), n - 1, 1), ones(n - 1, 1), 3, 3, 3),
        Kernel(derived(e -> (e,), 1, 1, 1), reshape(collect(flow), n - 1, 1), [1, 1], [total[left] total[right]],
               fill(0.5, n - 1, 2), 1, 1, 1; adds = true),
        Kernel(derived((s, k) -> (k * s * s,), 1, 1, 2), [total rate], [1], reshape(collect(square), n, 1), ones(n, 1), 1, 1, 2),
    ]
    exchange = Kernel(derived((e, s, t) -> (e * (1 + 0.05 * (s + t)),), 1, 3, 3), [flow square[left] total[right]], [1, 1],
                      [left right], repeat([-1.0 1.0], n - 1), 3, 3, 3)
    top = Kernel(derived(f -> (f * f,), 1, 1, 1), fill(feed, 1, 1), [1, 1], [1 n + 1], ones(1, 2), 0, 1, 1)
    bottom = Kernel(derived((v, k) -> (v * k,), 1, 1, 2), [value[n] rate[n]], [1, 1], [n n + 2], [-1.0 1.0], 1, 1, 2)
    return Model(N, p, f, 2, base + 4n - 1, Float64[], stages, [exchange, top, bottom])
end

relative(a, b) = maximum(abs, a .- b) / maximum(abs, b)

@testset "the package is precompiled" begin
    # Where it cannot be, it works all the same, after some ten seconds more in each process.
    @test Base.isprecompiled(Base.PkgId(PydiffgeoSolvers))
end

include("elementary.jl")

@testset "elimination, with integrated fluxes: $kind" for kind in ("few states", "a column")
    for size in 0:6, border in (1, 3)
        n = size + border
        # Some pivots are small: rows change places.
        A = [sin(1 + 3i + 7j + i * j) for i in 1:n, j in 1:n]
        foreach(i -> A[i, i] *= 1e-9, 1:2:size-1)
        kind == "a column" && foreach(((i, j),) -> abs(i - j) > 1 && (A[i, j] = 0), Iterators.product(1:size, 1:size))
        A[:, size+1:end] .= 0
        foreach(i -> A[i, i] = -2.0 - i, size+1:n)
        b = [cos(i + 2c) for i in 1:n, c in 1:3]
        stored(x) = kind == "a column" ? copyto!(sparse(A), x) : x
        alg = Elimination(core_of(sparse(A)))
        @test alg.core == size
        linear = init(SciMLBase.LinearProblem(stored(one(A)), copy(b); u0 = zero(b)), alg)
        linear.A = stored(A)
        for part in (b, reverse(b))
            linear.b = part
            @test relative(SciMLBase.solve!(linear).u, A \ part) < 1e-12
            @test linear.b == part
        end
        size > 1 || continue
        linear.A = stored([A[:, 1:1] zeros(n) A[:, 3:end]])
        @test !all(isfinite, SciMLBase.solve!(linear).u)
    end
end

@testset "Jacobian and transposed products: $make" for make in (column, staged)
    model = make(6)
    N, total = model.n_states, model.n_states + model.n_fluxes
    w = Work{Float64}(ready!(model; adjoint = "discrete"), false; adjoint = true)
    function rates(x)
        w.start .= x[2N+1:end]
        out = zeros(total)
        set_forcing!(set_parameters!(w, x[N+1:2N]), 0.0)
        rates!(out, set_point!(w, x[1:N], 0.0))
        return out
    end
    x = collect(range(0.3, 0.9; length = 2N + 1))
    h = 1e-6
    J = reduce(hcat, [(rates(x + h * e) - rates(x - h * e)) / 2h for e in eachcol(Matrix(1.0I, 2N + 1, 2N + 1))])
    rates(x)
    found = copy(model.pattern)
    nonzeros(found) .= jacobian!(w)
    @test Matrix(found)[:, 1:N] ≈ J[:, 1:N] rtol = 1e-8
    bars, bar, p_bar = collect(range(-1.0, 1.0; length = total)), zeros(model.n_values), zeros(N)
    pull!(bar, w, bars)
    expected = J' * bars
    @test bar[1:N] ≈ expected[1:N] rtol = 1e-8
    @test bar[2N+1] ≈ expected[2N+1] rtol = 1e-8
    @test collect_parameters!(p_bar, bar, w) ≈ expected[N+1:2N] rtol = 1e-8
    turned = copy(model.transposed)
    nonzeros(turned) .= w.entries[model.places]
    @test turned == sparse(found[1:N, 1:N]')
    @test all(abs(i - j) <= (make == column ? 1 : 3) for (i, j, _) in zip(findnz(found[1:N, 1:N])...))
end

@testset "what is known at a point is what is computed there anew: $make" for make in (column, staged)
    model = ready!(make(6); adjoint = "discrete")
    N, total = model.n_states, model.n_states + model.n_fluxes
    new(p, f) = set_interval!(set_parameters!(Work{Float64}(model, true; adjoint = true), p), f, 2.0)
    given() = (rand(N) .+ 0.5, rand(model.n_forcings, 2))
    p, f = given()
    points = [(rand(N) .+ 0.2, rand()) for _ in 1:3]
    rates(w) = (out = zeros(total); rates!(out, w); out)
    slopes(w) = copy(jacobian!(w))
    pulled(w) = copy(pull!(zeros(model.n_values), w, collect(1.0:total)))
    w = new(p, f)
    for _ in 1:40
        rand() < 0.2 && ((p, f) = given(); set_interval!(set_parameters!(w, p), f, 2.0))
        ask, (u, t) = rand((rates, slopes, pulled)), rand(points)
        @test ask(set_point!(w, u, t)) == ask(set_point!(new(p, f), u, t))
    end
end

@testset "rates, Jacobians and transposed products allocate nothing" begin
    loop(arguments, body) = "function ($arguments)\n    for i in axes(x, 1)\n        $body\n    end\n    return nothing\nend"
    n = 20
    square = (loop("out, x", "out[i, 1] = x[i, 1] * x[i, 2]"),
              loop("out, slopes, x", "out[i, 1] = x[i, 1] * x[i, 2]; slopes[i, 1] = x[i, 2]"),
              loop("bars, w, x", "bars[i, 1] += w[i, 1] * x[i, 2]; bars[i, 2] += w[i, 1] * x[i, 1]"),
              loop("bars, w, x", "bars[i, 2] += w[i, 1]"))
    difference = (loop("out, x", "out[i, 1] = x[i, 1] - x[i, 2]"),
                  loop("out, slopes, x", "out[i, 1] = x[i, 1] - x[i, 2]; slopes[i, 1] = 1.0; slopes[i, 2] = -1.0"),
                  loop("bars, w, x", "bars[i, 1] += w[i, 1]; bars[i, 2] -= w[i, 1]"), loop("bars, w, x", ""))
    closure = Kernel(square, [1:n fill(n + 1, n)], [1], reshape(collect(n+2:2n+1), n, 1), ones(n, 1), 1, 1, 2)
    exchange = Kernel(difference, n + 1 .+ [1:n-1 2:n], [1, 1], [1:n-1 2:n], repeat([-1.0 1.0], n - 1), 2, 2, 2)
    model = ready!(Model(n, 1, 0, 0, 2n + 1, Float64[], [closure], [exchange]); adjoint = "discrete")
    w = set_interval!(set_parameters!(Work{Float64}(model, false; adjoint = true), [2.0]), zeros(0, 1), 1.0)
    du, bar = zeros(n), zeros(model.n_values)
    for f in (u -> rates!(du, set_point!(w, u, 0.0)), u -> jacobian!(set_point!(w, u, 0.0)),
              u -> pull!(bar, set_point!(w, u, 0.0), du))
        f(rand(n))
        u = rand(n)
        @test (@allocated f(u)) == 0
    end
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

@testset "gradients: $make, $solver, $nodes forcing node(s), $n cells" for make in (column, staged), solver in ("Rodas5P", "FBDF"), nodes in 1:2, n in (4, 20)
    make == staged && solver == "FBDF" && n > 4 && continue    # takes its time
    model = make(n)
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
    result = forward(model, breaks, starts, two(p), two(f), settings, "discrete")
    codes = split(result.codes, ",")
    @test codes[1] == "Success" && codes[2] != "Success"
    @test all(isfinite, result.y[:, :, 1]) && all(isnan, result.y[:, 2:end, 2])
    short = forward(model, breaks, y0, p, f, Settings("Rodas5P", 1e-8, 1e-10, 5), "gauss")
    @test short.codes == "MaxIters"
    back = backward(model, result.tape, one.(result.y), one.(result.q), [1])
    @test all(iszero, back.p[:, 2]) && any(!iszero, back.p[:, 1])
    @test_throws ArgumentError forward(model, breaks, y0, p, f, Settings("none", 1e-6, 1e-8, 10), "none")
end

@testset "the discrete adjoint is exact: $make, $nodes forcing node(s), $n cells" for make in (column, staged), nodes in 1:2, n in (4, 20)
    model = make(n)
    y0, p, f = problem(n, nodes)
    # Equal to forward mode through the same steps, whatever the tolerance, but for the choice of steps;
    # tight tolerances for dual numbers, loose ones for the discrete adjoint.
    _, _, dual = gradients(model, y0, p, f, Settings("Rodas5P", 1e-10, 1e-12, 100_000), "forward")
    errors = map((1e-3, 1e-5, 1e-7)) do rtol
        _, _, found = gradients(model, y0, p, f, Settings("Rodas5P", rtol, rtol / 100, 100_000), "discrete")
        maximum(relative(getfield(found, name), getfield(dual, name)) for name in (:y0, :p, :f))
    end
    @test errors[1] < 3e-3 && errors[2] < 1e-4 && errors[3] < 1e-6
    # What does not fit into memory is computed again, and gives the same numbers.
    kept = gradients(model, y0, p, f, Settings("Rodas5P", 1e-6, 1e-8, 1000), "discrete")
    again = gradients(model, y0, p, f, Settings("Rodas5P", 1e-6, 1e-8, 1000, 10.0), "discrete")
    @test again[2].tape.kept[1].record === nothing && kept[2].tape.kept[1].record !== nothing
    # Enough for the states that steps start from, and not for their stages, which are never kept for few states.
    spared = gradients(model, y0, p, f, Settings("Rodas5P", 1e-6, 1e-8, 1000, 1.5 * 8 * sum(kept[2].steps) * (model.n_states + 2)), "discrete")
    record = spared[2].tape.kept[1].record
    @test record isa PydiffgeoSolvers.SmallRecord || PydiffgeoSolvers.spared(record)
    for other in (again, spared), name in (:y0, :p, :f)
        @test relative(getfield(other[3], name), getfield(kept[3], name)) < 1e-12
    end
    @test kept[2].steps[1] > 0
end

@testset "the discrete adjoint is the derivative of the steps taken: $make, $n cells" for make in (column, staged), n in (5, 20)
    # Three steps of given size, in an interval with changing forcing: nothing but the arithmetic of the
    # method is differentiated, and finite differences of the same steps show it to their own accuracy.
    model = ready!(make(n); adjoint = "discrete")
    y0, p, f = problem(n, 2)
    settings = Settings("Rodas5P", 1e-6, 1e-8, 1000)
    weight, flux_weight = cos.(1:n), [2.0, -3.0]
    alg = PydiffgeoSolvers.solver("Rodas5P", nothing)
    function steps(y0, p, f)
        w = set_interval!(set_parameters!(Work{Float64}(model, true; adjoint = true), p), f[:, :, 1, 1], 0.6)
        integrator = init(ode_problem(w, [vec(y0); 0.0; 0.0], zeros(n + 2, n + 2)), alg; adaptive = false, dt = 0.2)
        record = StepRecord(n)
        while integrator.t < 0.59
            t = integrator.t
            step!(integrator)
            remember!(record, integrator, t, 0.2)
        end
        push!(record.first, 4)
        return dot(weight, integrator.u[1:n]) + dot(flux_weight, integrator.u[n+1:end]), w, integrator, record
    end
    _, w, integrator, record = steps(y0, p, f)
    a = StepAdjoint(w, BothFactors(w.model), PydiffgeoSolvers.RODAS5P)
    found = (y0 = zeros(n), p = zeros(n), f = zeros(1, 2, 1))
    pull_steps!(found..., a, integrator, [0.0, 0.6], f[:, :, 1:1, 1], MemberRecord(record, [3], [0.0]), nothing,
                [zeros(n) weight], reshape(flux_weight, 2, 1), settings)
    h = 1e-5  # of a smaller one rounding shows, as much as the processor and its BLAS make of it
    for (name, x) in ((:y0, y0), (:p, p), (:f, f)), i in eachindex(found[name])
        ends = map((-h, h)) do d
            shifted = copy(x)
            shifted[i] += d
            first(steps(name == :y0 ? shifted : y0, name == :p ? shifted : p, name == :f ? shifted : f))
        end
        @test (ends[2] - ends[1]) / 2h ≈ found[name][i] rtol = 1e-7 atol = 1e-8
    end
end

@testset "the adjoint on fronts is that of other factors, $nodes forcing node(s)" for nodes in 1:2
    # A raster of cells that exchange by a nonlinear function of the state.
    wide, n = 13, 169
    left, right = [[i for i in 1:n if i % wide != 0]; 1:n-wide], [[i + 1 for i in 1:n if i % wide != 0]; wide+1:n]
    value = 2n + 1
    raster() = Model(n, n, 1, 1, 3n + 1, Float64[],
        [Kernel(derived((u, k) -> (k * power(u, 1.8),), 1, 1, 2), [1:n n+1:2n], [1], reshape(collect(value+1:value+n), n, 1), ones(n, 1), 1, 1, 2)],
        [Kernel(derived((a, b) -> (a - b,), 1, 2, 2), value .+ [left right], [1, 1], [left right], repeat([-1.0 1.0], length(left)), 2, 2, 2),
         Kernel(derived((v, f) -> (f - v, v), 2, 2, 2), [value .+ (1:n) fill(2n + 1, n)], [1, 2], [1:n fill(n + 1, n)], ones(n, 2), 1, 2, 2)])
    y0, p, f = problem(n, nodes)
    found = map((true, false)) do fronts
        model = raster()
        fronts ? (@test PydiffgeoSolvers.fronts_of(model) !== nothing) : (model.fronts[] = nothing)
        result = forward(model, breaks, y0, p, f, Settings("Rodas5P", 1e-6, 1e-8, 1000), "discrete")
        memory = 8.0 * sum(result.steps) * (n + 3)
        spared = forward(model, breaks, y0, p, f, Settings("Rodas5P", 1e-6, 1e-8, 1000, memory), "discrete")
        @test PydiffgeoSolvers.spared(spared.tape.kept[1].record)
        y_bar, q_bar = cos.(reshape(1:length(result.y), size(result.y))), ones(size(result.q))
        (result.y, (backward(model, tape, y_bar, q_bar, [1]) for tape in (result.tape, spared.tape))...)
    end
    @test relative(found[1][1], found[2][1]) < 1e-10
    for name in (:y0, :p, :f), k in (2, 3)
        @test relative(getfield(found[1][k], name), getfield(found[2][2], name)) < 1e-8
    end
end

@testset "the tangent is the transpose of the discrete adjoint: $make, $nodes forcing node(s), $n cells" for make in (column, staged), nodes in 1:2, n in (4, 20)
    model = make(n)
    y0, p, f = problem(n, nodes)
    settings = Settings("Rodas5P", 1e-4, 1e-6, 1000)
    result = forward(model, breaks, y0, p, f, settings, "discrete")
    y_bar, q_bar = reshape(sin.(1:length(result.y)), size(result.y)), reshape(cos.(1:length(result.q)), size(result.q))
    back = backward(model, result.tape, y_bar, q_bar, [1])
    # More directions than are taken at a time.
    count = PydiffgeoSolvers.PARTIALS + 3
    dots(x) = reshape(sin.(1.3 .* (1:count*length(x))), size(x)..., count)
    y0_dot, p_dot, f_dot = dots(y0), dots(p), dots(f)
    found = tangent(model, result.tape, y0_dot, p_dot, f_dot, [1])
    for d in 1:count
        pushed = dot(y_bar, found.y[:, :, :, d]) + dot(q_bar, found.q[:, :, :, d])
        pulled = dot(back.y0, y0_dot[:, :, d]) + dot(back.p, p_dot[:, :, d]) + dot(back.f, f_dot[:, :, :, :, d])
        @test pushed ≈ pulled rtol = 1e-11 atol = 1e-12
    end
    alone = tangent(model, result.tape, y0_dot[:, :, end:end], p_dot[:, :, end:end], f_dot[:, :, :, :, end:end], [1])
    @test alone.y[:, :, :, 1] ≈ found.y[:, :, :, end] rtol = 1e-13
    # Steps taken again give the same numbers, and transition matrices of other steps nearly the same.
    small = forward(model, breaks, y0, p, f, Settings("Rodas5P", 1e-4, 1e-6, 1000, 10.0), "discrete")
    @test tangent(model, small.tape, y0_dot, p_dot, f_dot, [1]).y == found.y
    dual = forward(model, breaks, y0, p, f, Settings("Rodas5P", 1e-8, 1e-10, 1000), "forward")
    @test relative(tangent(model, dual.tape, y0_dot, p_dot, f_dot, [1]).q, found.q) < 1e-2
    @test all(iszero, tangent(model, result.tape, y0_dot, p_dot, f_dot, Int[]).y)
end

@testset "building from source" begin
    loop(body) = "function (out, x)\n    for i in axes(x, 1)\n        $body\n    end\n    return nothing\nend"
    value = loop("out[i, 1] = x[i, 1] * x[i, 2]")
    slopes = replace(loop("out[i, 1] = x[i, 1] * x[i, 2]; slopes[i, 1] = x[i, 2]"), "(out, x)" => "(out, slopes, x)")
    kernel = ((value, slopes, "nothing", "nothing"), 1, [1, 2], [1, 1], [1, 2], [-1.0, 1.0], (1, 1, 2, 1, 0, 0))
    model = build(1, 1, 0, 1, 2, Float64[], [], [kernel])
    result = forward(model, [0.0, 1.0], [1.0], [2.0], Float64[], 1, Settings("Rodas5P", 1e-9, 1e-11, 1000), "none")
    @test result.y[1, 2, 1] ≈ exp(-2) rtol = 1e-8
    @test result.q[1, 1, 1] ≈ 1 - exp(-2) rtol = 1e-8
end

include("steady.jl")
include("fronts.jl")
include("networks.jl")
include("crossing.jl")
