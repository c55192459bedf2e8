# Everything but a model's local functions is compiled with the package: a small stiff model is solved
# and differentiated, dense, tridiagonal, sparse and on fronts, with the default solver and sensitivity.

@setup_workload begin
    # Local functions written out, as those of Python are: what dual numbers make of them would be kept with the package.
    unbent = (bars, w, x) -> nothing
    square = ((out, x) -> (@. out[:, 1] = x[:, 2] * x[:, 1]^2; nothing),
              (out, slopes, x) -> (@. out[:, 1] = x[:, 2] * x[:, 1]^2; @. slopes[:, 1] = 2 * x[:, 2] * x[:, 1]; nothing),
              (bars, w, x) -> (@. bars[:, 1] += 2 * w[:, 1] * x[:, 2] * x[:, 1]; @. bars[:, 2] += w[:, 1] * x[:, 1]^2; nothing),
              (bars, w, x) -> (@. bars[:, 1] += 2 * w[:, 1] * x[:, 2]; @. bars[:, 2] += 2 * w[:, 1] * x[:, 1]; nothing))
    difference = ((out, x) -> (@. out[:, 1] = x[:, 1] - x[:, 2]; nothing),
                  (out, slopes, x) -> (@. out[:, 1] = x[:, 1] - x[:, 2]; slopes[:, 1] .= 1; slopes[:, 2] .= -1; nothing),
                  (bars, w, x) -> (@. bars[:, 1] += w[:, 1]; @. bars[:, 2] -= w[:, 1]; nothing), unbent)
    # Of `a` and `f`: f - a and f, or f - a and a.
    rest(second) = ((out, x) -> (@. out[:, 1] = x[:, 2] - x[:, 1]; @. out[:, 2] = x[:, second]; nothing),
                    (out, slopes, x) -> (@. out[:, 1] = x[:, 2] - x[:, 1]; @. out[:, 2] = x[:, second]; slopes .= 0; slopes[:, 1] .= -1;
                                         slopes[:, 2] .= 1; slopes[:, 2+second] .= 1; nothing),
                    (bars, w, x) -> (@. bars[:, 1] -= w[:, 1]; @. bars[:, 2] += w[:, 1]; @. bars[:, second] += w[:, 2]; nothing), unbent)
    # `n` cells with a closure and an outflow, in a chain, `loop` closing it into a ring, or in rows of `wide`.
    function chain(n; loop = false, wide = n)
        value = n + 2
        closure = Kernel(square, hcat(1:n, fill(n + 1, n)), [1],
                         reshape(collect(value+1:value+n), n, 1), ones(n, 1), 1, 1, 2)
        left, right = loop ? (collect(1:n), [2:n; 1]) : ([1:n-1; 1:n-wide], [2:n; wide+1:n])
        exchange = Kernel(difference, value .+ hcat(left, right), [1, 1], hcat(left, right),
                          repeat([-1.0 1.0], length(left)), 2, 2, 2)
        supply = Kernel(rest(2), [1 n + 2], [1, 2], [1 n + 1], ones(1, 2), 1, 2, 2)
        return Model(n, 1, 1, 1, value + n, Float64[], [closure], [exchange, supply])
    end
    # The same with a network of the state in the place of the closure.
    function learnt(n)
        weights = 2 * 3 + 1 * 3
        first, value = n + 1, n + weights + 1
        closure = network_stage(n, [2, 2, 1], [1, 1], [1, 0], [1.0, 1.0], first, hcat(1:n, 1:n),
                                reshape(collect(value+1:value+n), n, 1))
        exchange = Kernel(rest(1), hcat(value .+ (1:n), fill(value, n)), [1, 2],
                          hcat(1:n, fill(n + 1, n)), ones(n, 2), 1, 2, 2)
        return Model(n, weights, 1, 1, value + n, Float64[], [closure], [exchange])
    end
    # A model as Python writes it (`reading.jl`).
    function written(values)
        text, whole, numbers = IOBuffer(), Int[], Float64[]
        write!(x::Bool) = push!(whole, 1, x)
        write!(x::Int) = push!(whole, 0, x)
        write!(x::String) = (push!(whole, 2, ncodeunits(x)); print(text, x))
        write!(x::Vector{Int}) = (push!(whole, 3, length(x)); append!(whole, x))
        write!(x::Vector{Float64}) = (push!(whole, 4, length(x)); append!(numbers, x))
        write!(x::Tuple) = (push!(whole, 5, length(x)); foreach(write!, x))
        write!(values)
        return String(take!(text)), whole, numbers
    end
    # A call as Python makes it (`crossing.jl`); what comes of it where that stays here.
    function called(name, values...)
        write(x::Union{Int,Bool}) = [x isa Bool ? Kind.TRUTH : Kind.WHOLE, x, 0]
        write(x::Float64) = [Kind.NUMBER, reinterpret(Int, x), 0]
        write(x::Union{String,Vector{Float64},Vector{Int}}) =
            [x isa String ? Kind.TEXT : x isa Vector{Int} ? Kind.WHOLES : Kind.NUMBERS, Int(pointer(x)), sizeof(x) ÷ (x isa String ? 1 : 8)]
        write(x) = [Kind.HELD, crossed(x)[2], 0]
        words = reduce(vcat, map(write, (name, values...)))
        count = length(words) ÷ 3
        append!(words, zeros(Int, 8))
        GC.@preserve name values words answer!(pointer(words), count)
        return words[1] == Kind.HELD ? held(words[2]) : nothing
    end
    unmoved = (out, slopes, x) -> nothing
    kernel(sources, target, counts) = (ntuple(i -> "\n"^(i == 2 ? LONG : 1), sources), 1, [1, 2], [1], [target], [1.0], counts)
    program = (false, "", [1, 2], kernel(5, 16, (1, 1, 2, 1, 0, 0)))
    network = (1, [1, 1], [0], [0], [1.0], 14, [1], [17])
    model_of_python = (13, 1, 1, 0, 17, Float64[], (program, network), (kernel(8, 1, (1, 1, 2, 1, 1, 1)),), [1], [0], [1.0],
                       ((ntuple(_ -> "", 4), 1, [1, 2], [1, 2, 3], [1, 1, 1], zeros(3), (1, 1, 2, 1, 0, 0)),))
    @compile_workload begin
        built = called("build", written(model_of_python)...)
        foreach(empty!, (BUILT, USED))
        called("no function of this name")
        called("part", built, "n_states")
        # Local functions as they are compiled.
        ready!(Lazy{Two{Float64}}("(out, x) -> (@simd for i in 1:1; end; nothing)"))
        ready!(Lazy{Three{Float64}}("(out, slopes, x) -> nothing"))
        empty!(USED)
        breaks, p = [0.0, 0.5, 1.0], [2.0]
        models = (chain(3), chain(20), chain(20; loop = true))
        for model in models
            y0, f, open = fill(0.3, model.n_states), [0.5], fill(Inf, model.n_states)
            result = steady(model, y0, p, f, -open, open, Settings("Newton", 1e-8, 1e-10, 100))
            steady_adjoint(model, vec(result.y), p, f, y0, [1.0], [1])
        end
        for (model, p) in (map(model -> (model, p), models)..., (chain(144; wide = 12), p), (learnt(2), fill(0.1, 9))), nodes in 1:2
            # With all arguments, as Python calls them.
            settings = called("Settings", "Rodas5P", 1e-4, 1e-6, 1000, 1e9, 1.0)
            y0, f = fill(0.3, model.n_states), fill(0.5, 2nodes)
            for sensitivity in ("none", "discrete")
                result = called("forward", model, breaks, y0, p, f, nodes, settings, sensitivity, Inf)
                foreach(name -> called("part", result, name), string.(fieldnames(ForwardResult)))
                called("linear_solver", model, "Rodas5P", sensitivity)
                called("kept_bytes", result.tape)
                sensitivity == "none" && continue
                back = called("backward", model, result.tape, vec(one.(result.y)), vec(one.(result.q)), [1], Inf)
                foreach(name -> called("part", back, name), string.(fieldnames(BackwardResult)))
                tangent(model, result.tape, y0, p, f, [1])
            end
        end
        # By implicit Euler.
        for (model, p) in (map(model -> (model, p), models)..., (chain(144; wide = 12), p))
            settings = Settings(EULER, 1e-4, 1e-6, 1000, 1e9, 1.0, Float64[], 0.25)
            y0, f = fill(0.3, model.n_states), fill(0.5, 2)
            result = forward(model, breaks, y0, p, f, 1, settings, "discrete")
            backward(model, result.tape, vec(one.(result.y)), vec(one.(result.q)), [1])
        end
        # In lockstep.
        for nodes in 1:2
            model, settings = chain(3), Settings("Rodas5P", 1e-4, 1e-6, 1000)
            given = breaks, fill(0.3, 9), fill(2.0, 3), fill(0.5, 6nodes)
            for settings in (settings, Settings(EULER, 1e-4, 1e-6, 1000, 1e9, 1.0, Float64[], 0.25))
                result = forward(model, given..., nodes, settings, "discrete")
                backward(model, result.tape, vec(one.(result.y)), vec(one.(result.q)), [1, 2, 3])
                # Of kernels of Python alone there are sources; these stand for them.
                isempty(model.moves) && append!(model.moves, [Moves(unmoved, Int[], unmoved, Int[]) for _ in 1:3])
                nodes == 1 && tangent(model, result.tape, given[2:4]..., [1, 2, 3])
            end
        end
        model, settings = learnt(2), Settings("Rodas5P", 1e-4, 1e-6, 1000)
        result = forward(model, breaks, fill(0.3, 6), fill(0.1, 27), fill(0.5, 6), 1, settings, "discrete")
        backward(model, result.tape, vec(one.(result.y)), vec(one.(result.q)), [1, 2, 3])
        called("let_go", collect(keys(KEPT)))
        called("python!", 0, 0, 0)
        entrance()
        LAST[], SHOWN[] = 0, nothing
    end
end
