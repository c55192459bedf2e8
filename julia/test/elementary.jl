# Functions that generated local functions call, on numbers and dual numbers, at their edges too.

@testset "powers and undefined values" begin
    for x in (0.3, 2.0), y in (-1.5, 0.5, 3.0)
        @test power(x, y) ≈ x^y rtol = 1e-14
        @test ForwardDiff.derivative(x -> power(x, y), x) ≈ y * x^(y - 1) rtol = 1e-13
        @test ForwardDiff.derivative(y -> power(x, y), y) ≈ x^y * log(x) rtol = 1e-13
    end
    @test power(0.0, 2.5) == 0 && ForwardDiff.derivative(x -> power(x, 2.5), 0.0) == 0
    @test isnan(power(-1.0, 0.5)) && power(-2.0, 3.0) ≈ -8 && power(-2.0, 2.0) ≈ 4 && power(0.0, 0.0) == 1
    @test power(0.0, -1.0) == Inf && isnan(power(NaN, 2.0))
end

@testset "elementary functions on vectors" begin
    units(found, exact) = maximum(abs.(found .- exact) ./ eps.(abs.(exact)))
    x = [range(-700, 700; length = 1001); range(-1, 1; length = 1000)]
    @test units(exponential.(x), exp.(x)) <= 2
    @test exponential.([-Inf, -800.0, 709.75, 710.0, Inf]) ≈ [0, 0, exp(709.75), Inf, Inf] && isnan(exponential(NaN))
    y = [exp.(range(-700, 700; length = 1001)); range(0.9, 1.1; length = 1000)]
    @test units(logarithm.(y), log.(y)) <= 2
    @test logarithm.([0.0, 5e-324, Inf]) == [-Inf, log(5e-324), Inf] && all(isnan, logarithm.([-1.0, NaN]))
    @test units(hyperbolic.(x), tanh.(x)) <= 8
    @test hyperbolic.([-Inf, Inf]) == [-1, 1] && isnan(hyperbolic(NaN))
    @test sine.(y) == sin.(y) && cosine.(y) == cos.(y)
    for f in (sine, cosine), edge in (-Inf, Inf, NaN)
        @test isnan(f(edge)) && isnan(f(ForwardDiff.Dual(edge, 1.0)))
    end
    @test ForwardDiff.derivative(sine, 0.4) == cos(0.4) && ForwardDiff.derivative(cosine, 0.4) == -sin(0.4)
end

@testset "special functions on vectors" begin
    # Exact values in higher precision; `erf` by its series there, which BigFloat sums without loss.
    exact(f, x) = Float64(f(big(x)))
    series(x) = 2 / sqrt(big(pi)) * sum((-1)^k * x^(2k + 1) / (factorial(big(k)) * (2k + 1)) for k in 0:200)
    units(f, g, x) = maximum(abs(f(a) - exact(g, a)) / eps(exact(g, a)) for a in x)
    near = [10.0 .^ (-300:20:-20); 10.0 .^ (-16:0.07:0)]
    wide = [near; -near; range(-20, 20; length = 701)]
    @test units(exponential_less_one, expm1, [wide; -700.0:13:700]) <= 4
    @test units(logarithm_of_one_and, log1p, [near; -0.99 .* near; 10.0 .^ (0:7:300)]) <= 4
    @test units(hyperbolic_sine, sinh, [wide; -710.0:17:710]) <= 6
    @test units(hyperbolic_cosine, cosh, [wide; -710.0:17:710]) <= 6
    @test units(arctangent, atan, [wide; 10.0 .^ (1:9:300)]) <= 3
    @test units(error_function, series, [near; -near; range(-6.5, 6.5; length = 301)]) <= 4
    @test error_function.([7.0, 1e300, Inf, -Inf]) == [1, 1, 1, -1] && arctangent.([Inf, -Inf]) == [pi / 2, -pi / 2]
    @test exponential_less_one.([-Inf, -800.0, 0.0, Inf]) == [-1, -1, 0, Inf]
    @test logarithm_of_one_and.([-1.0, 0.0, Inf]) == [-Inf, 0, Inf] && isnan(logarithm_of_one_and(-1.5))
    @test hyperbolic_sine.([-Inf, 0.0, Inf]) == [-Inf, 0, Inf] && hyperbolic_cosine.([-Inf, 0.0, Inf]) == [Inf, 1, Inf]
    functions = (exponential_less_one, logarithm_of_one_and, hyperbolic_sine, hyperbolic_cosine, arctangent, error_function)
    slopes = (exp, x -> 1 / (1 + x), cosh, sinh, x -> 1 / (1 + x^2), x -> 2 / sqrt(pi) * exp(-x^2))
    second = (exp, x -> -1 / (1 + x)^2, sinh, cosh, x -> -2x / (1 + x^2)^2, x -> -4x / sqrt(pi) * exp(-x^2))
    for (f, g, h) in zip(functions, slopes, second), x in (-0.7, 0.0, 1e-9, 0.4, 3.0)
        @test ForwardDiff.derivative(f, x) ≈ g(x) rtol = 1e-14
        @test ForwardDiff.derivative(y -> ForwardDiff.derivative(f, y), x) ≈ h(x) rtol = 1e-13 atol = 1e-15
    end
    @test all(f -> isnan(f(NaN)) && isnan(f(ForwardDiff.Dual(NaN, 1.0))), functions)
    @test ForwardDiff.derivative(x -> x * frozen(x), 3.0) == 3 && frozen(2.0) == 2
end
