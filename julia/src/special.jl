# More of what generated local functions call, written as in `elementary.jl`: no branches, and no exceptions.

"`exp(x) - 1`, accurate near zero as well."
@inline function exponential_less_one(x::Number8)
    # Taylor's series: the first term left out is below 1e-17 of the first one.
    near = x * polynomial(x, (1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320, 1 / 362880, 1 / 3628800,
                            1 / 39916800, 1 / 479001600, 1 / 6227020800, 1 / 87178291200, 1 / 1307674368000))
    return pick(abs(x) < 0.5, near, exponential(x) - 1.0)
end

"`log(1 + x)`, accurate near zero as well: what rounding takes from `1 + x` is given back (Kahan)."
@inline function logarithm_of_one_and(x::Number8)
    u = 1.0 + x
    y = logarithm(u) + (x - (u - 1.0)) / u
    return pick((x > -1.0) & (x < Inf), y, logarithm(u))
end

"`sinh(x)`, accurate near zero as well."
@inline function hyperbolic_sine(x::Number8)
    a = abs(x)
    e = exponential_less_one(pick(a < 22.0, a, 22.0))
    half = exponential(0.5 * a)     # its square is finite where `exp` no longer is
    return pick(x == x, copysign(pick(a < 22.0, 0.5 * (e + e / (e + 1.0)), (0.5 * half) * half), x), x)
end

"`cosh(x)`."
@inline function hyperbolic_cosine(x::Number8)
    half = exponential(0.5 * abs(x))
    e = half * half
    return pick(abs(x) < 22.0, 0.5 * (e + 1.0 / e), (0.5 * half) * half)
end

# The series of FreeBSD's msun for |x| < 7/16.
const ARCTANGENT = (3.33333333333329318027e-01, -1.99999999998764832476e-01, 1.42857142725034663711e-01,
                    -1.11111104054623557880e-01, 9.09088713343650656196e-02, -7.69187620504482999495e-02,
                    6.66107313738753120669e-02, -5.83357013379057348645e-02, 4.97687799461593236017e-02,
                    -3.65315727442169155270e-02, 1.62858201153657823623e-02)

"`atan(x)`: of the inverse where that is smaller, and of the angle less 45 degrees where that is."
@inline function arctangent(x::Number8)
    a = abs(x)
    z = pick(a > 1.0, 1.0 / a, a)
    steep = z > 0.4142135623730951
    t = pick(steep, (z - 1.0) / (z + 1.0), z)
    s = t * t
    r = t - t * (s * polynomial(s, ARCTANGENT))
    y = pick(steep, pi / 4 + r, r)
    return pick(x == x, copysign(pick(a > 1.0, pi / 2 - y, y), x), x)
end

# `exp(x^2) erfc(x)` for x in [1, 6], as a polynomial in 14.4 / (x + 3) - 2.6, which goes from -1 to 1: interpolated at
# Chebyshev's nodes; error below 3e-17.
const COMPLEMENT = (0.20798329133342885, 0.15436117429436919, 0.04969844540339414, 0.012713147695691918,
                    0.002479314697086253, 0.0003316029605792838, 1.956358319778174e-05, -2.425557485042923e-06,
                    -5.54127309801664e-07, 4.5267318133461335e-09, 1.133933573114706e-08, 2.637756022974126e-10,
                    -2.5700407551346905e-10, -6.02173256030324e-12, 6.043792147788813e-12, -6.697645564790815e-15)

"`erf(x)` to a few units in the last place."
@inline function error_function(x::Number8)
    a = pick(abs(x) < 6.0, abs(x), 6.0)
    far = 1.0 - exponential(-a * a) * polynomial(14.4 / (a + 3.0) - 2.6, COMPLEMENT)
    # Taylor's series: below one, the first term left out is below 1e-17.
    near = x * polynomial(x * x, (1.0, -1 / 3, 1 / 10, -1 / 42, 1 / 216, -1 / 1320, 1 / 9360, -1 / 75600, 1 / 685440,
                                -1 / 6894720, 1 / 76204800, -1 / 918086400, 1 / 11975040000, -1 / 168129561600,
                                1 / 2528170444800, -1 / 40537905408000, 1 / 690452066304000, -1 / 12449059983360000))
    return pick(a < 1.0, (2 / sqrt(pi)) * near, pick(x == x, copysign(far, x), x))
end

"`x` as it is, without slopes."
@inline frozen(x::Number8) = x

# On dual numbers, for forward mode.

@inline exponential_less_one(x) = expm1(x)
@inline logarithm_of_one_and(x) = x >= -1 ? log1p(x) : oftype(log1p(zero(x)), NaN)
@inline hyperbolic_sine(x) = sinh(x)
@inline hyperbolic_cosine(x) = cosh(x)
@inline arctangent(x) = atan(x)
@inline error_function(x) = error_function(Float64(x))
@inline frozen(x) = x

@inline function error_function(x::ForwardDiff.Dual{T}) where {T}
    a = ForwardDiff.value(x)
    return ForwardDiff.Dual{T}(error_function(a), (2 / sqrt(pi) * exp(-a * a)) * ForwardDiff.partials(x))
end

@inline frozen(x::ForwardDiff.Dual{T}) where {T} =
    ForwardDiff.Dual{T}(frozen(ForwardDiff.value(x)), zero(ForwardDiff.partials(x)))
