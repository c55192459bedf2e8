# Activations of networks with their first and second derivatives; `a` is the parameter of some.

function identity_at(x, a)
    return x, one(x), zero(x)
end

@inline function tanh_at(x, a)
    y = hyperbolic(x)
    d = one(y) - y * y
    return y, d, -2.0 * y * d
end

@inline function sigmoid_at(x, a)
    y = 0.5 + 0.5 * hyperbolic(0.5 * x)
    d = y * (1.0 - y)
    return y, d, d * (1.0 - 2.0 * y)
end

@inline function relu_at(x, a)
    up = pick(x > 0.0, one(x), zero(x))
    return greater(x, zero(x)), up, zero(x)
end

@inline function softplus_at(x, a)
    size = abs(a * x)
    y, d, _ = sigmoid_at(a * x, a)
    return (greater(a * x, zero(x)) + logarithm(1.0 + exponential(-size))) / a, y, a * d
end

@inline function silu_at(x, a)
    y, d, b = sigmoid_at(x, a)
    return x * y, y + x * d, 2.0 * d + x * b
end

@inline function gelu_at(x, a)
    below = 0.5 * (1.0 + error_function(x / sqrt(2.0)))
    density = exponential(-0.5 * x * x) / sqrt(2pi)
    return x * below, below + x * density, (2.0 - x * x) * density
end

@inline function elu_at(x, a)
    e = a * exponential(lesser(x, zero(x)))
    up = x > 0.0
    return pick(up, x, e - a), pick(up, one(x), e), pick(up, zero(x), e)
end

"Calls `f` with the activation of a layer."
@inline function with_activation(f, code)
    code == 0 ? f(identity_at) : code == 1 ? f(tanh_at) : code == 2 ? f(sigmoid_at) : code == 3 ? f(relu_at) :
    code == 4 ? f(softplus_at) : code == 5 ? f(silu_at) : code == 6 ? f(gelu_at) : f(elu_at)
end

"Activations of `n` sums, and as many of their derivatives as `D` says."
function activate!(at::F, m, n, sums, out, first, second, a, ::Val{D}) where {F,D}
    @inbounds @simd ivdep for i in 1:n
        y, d, b = at(m[sums+i], a)
        m[out+i] = y
        D > 0 && (m[first+i] = d)
        D > 1 && (m[second+i] = b)
    end
    return nothing
end
