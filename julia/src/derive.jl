# The four functions of a kernel from one plain function of scalars, by dual numbers: for models written
# by hand in Julia. Python writes out its own, which share subexpressions and run on vectors.

"""
    derived(f, outputs, along, variable)

Sources of a `Kernel` for `f(inputs...)`, which returns a tuple of `outputs` results.
"""
function derived(f, outputs, along, variable)
    results(x) = collect(f(x...))
    function slopes_of(x)
        part(y) = results([y; x[along+1:end]])
        return along == 0 ? zeros(eltype(x), outputs, 0) : ForwardDiff.jacobian(part, x[1:along])
    end
    gradient(g, x) = ForwardDiff.gradient(y -> g([y; x[variable+1:end]]), x[1:variable])
    value!(out, x) = (foreach(i -> out[i, :] .= results(x[i, :]), axes(x, 1)); nothing)
    function slopes!(out, slopes, x)
        value!(out, x)
        foreach(i -> slopes[i, :] .= vec(transpose(slopes_of(x[i, :]))), axes(x, 1))
        return nothing
    end
    pull!(bars, w, x) =
        (foreach(i -> bars[i, :] .+= gradient(y -> sum(w[i, :] .* results(y)), x[i, :]), axes(x, 1)); nothing)
    function bend!(bars, w, x)
        for i in axes(x, 1)
            bars[i, :] .+= gradient(y -> sum(w[i, :] .* vec(transpose(slopes_of(y))); init = zero(eltype(y))), x[i, :])
        end
        return nothing
    end
    return value!, slopes!, pull!, bend!
end
