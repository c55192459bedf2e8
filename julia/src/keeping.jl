# Local functions compiled ahead of time (`pydiffgeo warmup`): a package of those of one model, in the depot, compiled like any
# other. A later process loads it in a moment, where compiling takes seconds; one that is out of date is left alone.

"Sources that this process compiled, and the wrappers that they went into."
const USED = Dict{Tuple{String,Bool},Set{Type}}()
"Sources of the models that were built, those of each in one."
const BUILT = Set{String}()

kept_in(depot, name) = joinpath(depot, "pydiffgeo", "functions", name)
name_of(text) = "PydiffgeoFunctions_" * string(hash(text); base = 16)
identity_of(name) = Base.PkgId(Base.UUID(UInt128(hash(name)) << 64 | hash(name, UInt(1))), name)

"Loads the functions of the model whose sources are `text`, where they were kept and are up to date; whether they were."
function recall(text)
    name = name_of(text)
    id = identity_of(name)
    haskey(Base.loaded_modules, id) && return true
    for depot in DEPOT_PATH
        isfile(joinpath(kept_in(depot, name), "Project.toml")) || continue
        try
            with_load_path(() -> Base.isprecompiled(id) && Base.require(id), kept_in(depot, name))
        catch    # whatever it is that is kept there, the model can be compiled anew
        end
        haskey(Base.loaded_modules, id) && return true
    end
    return false
end

function with_load_path(f, folder)
    push!(LOAD_PATH, folder)
    try
        return f()
    finally
        filter!(!=(folder), LOAD_PATH)
    end
end

"Notes that a source went into a wrapper, of numbers or of lanes of them."
function note_use!(@nospecialize(source), @nospecialize(W))
    number = eltype(first(W.parameters[2].parameters))
    number in (Float64, Lanes) && push!(get!(USED, (text_of(source), source isa HastySource), Set{Type}()), W)
    return nothing
end

# Of a type that is known: a conversion to `String` would be looked up anew beside packages that Python brings along.
text_of(@nospecialize(source)) = (source isa HastySource ? source.text : String(source))::String

"Keeps the functions of all models that this process has built; returns how many there are."
keep() = sum(keep, BUILT; init = 0)

"""
Keeps the functions of the model whose sources are `text`, as far as this process has compiled them, in the first depot.
Returns how many there are; zero where the depot cannot be written.
"""
function keep(text)
    name = name_of(text)
    folder = kept_in(first(DEPOT_PATH), name)
    own = [(source, hasty, wrappers) for ((source, hasty), wrappers) in USED if occursin(source, text)]
    isempty(own) && return 0
    lines = ["module $name", "using PydiffgeoSolvers: PydiffgeoSolvers, Lanes", "using FunctionWrappers: CallWrapper, FunctionWrapper"]
    for hasty in (false, true)
        append!(lines, ["module $(hasty ? "Hasty" : "Usual")", "using PydiffgeoSolvers.Words"])
        hasty && push!(lines, "Base.Experimental.@optlevel 1")
        for (at, (source, is_hasty, _)) in enumerate(own)
            is_hasty == hasty && push!(lines, "const f$at = $source")
        end
        push!(lines, "end")
    end
    push!(lines, "const FUNCTIONS = Dict{String,Function}(")
    for (at, (source, hasty, _)) in enumerate(own)
        push!(lines, "    $(repr(source)) => $(hasty ? "Hasty" : "Usual").f$at,")
    end
    push!(lines, ")", "__init__() = merge!(PydiffgeoSolvers.KNOWN, FUNCTIONS)")
    for (at, (source, hasty, wrappers)) in enumerate(own), W in wrappers
        arguments = join(("Matrix{$(eltype(A) === Float64 ? "Float64" : "Lanes")}" for A in W.parameters[2].parameters), ", ")
        f = "typeof($(hasty ? "Hasty" : "Usual").f$at)"
        push!(lines, "precompile(FunctionWrapper{Nothing,Tuple{$arguments}}, ($f,))", "precompile(CallWrapper{Nothing}(), ($f, $arguments))")
    end
    push!(lines, "end")
    id = identity_of(name)
    try
        mkpath(joinpath(folder, "src"))
        write(joinpath(folder, "Project.toml"), """
            name = "$name"
            uuid = "$(id.uuid)"
            version = "0.1.0"

            [deps]
            FunctionWrappers = "069b7b12-0de2-55c6-9aab-29f3d0a68a2e"
            PydiffgeoSolvers = "5d5b3f0e-6f0c-4c5e-9c55-0c8b6c1f3a27"
            """)
        write(joinpath(folder, "src", "$name.jl"), join(lines, "\n"))
    catch failure
        failure isa Union{SystemError,Base.IOError} || rethrow()
        return 0
    end
    with_load_path(() -> Base.isprecompiled(id) || Base.compilecache(id), folder)
    return length(own)
end
