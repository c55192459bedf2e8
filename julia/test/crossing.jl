# What crosses between Python and Julia, called as Python does it, from C.

using PydiffgeoSolvers: Kind

@testset "calls as Python makes them" begin
    entry = Ptr{Cvoid}(PydiffgeoSolvers.entrance())
    "The integers that answer a call of `name` with values given as three integers each."
    function ask(name, values...)
        words = [Kind.TEXT, Int(pointer(name)), sizeof(name), reduce(vcat, values; init = Int[])..., zeros(Int, 8)...]
        GC.@preserve name words ccall(entry, Cvoid, (Ptr{Int}, Int), words, 1 + length(values))
        return words
    end
    text((_, address, size)) = unsafe_string(Ptr{UInt8}(address), size)
    numbers, whole, quoted = [1.5, -2.5], [3, 4], "a\"\$(1)ä"
    GC.@preserve numbers whole quoted begin
        at(x, kind, size = length(x)) = [kind, Int(pointer(x)), size]
        @test ask("taken", [Kind.WHOLE, Kind.NUMBER, 0], [Kind.WHOLE, reinterpret(Int, 0.1), 0], [Kind.WHOLE, 0, 0])[1:2] == [Kind.NUMBER, reinterpret(Int, 0.1)]
        @test ask("isempty", at(numbers, Kind.NUMBERS))[1:2] == [Kind.TRUTH, 0]
        @test ask("identity", [Kind.TRUTH, 1, 0])[1:2] == [Kind.TRUTH, 1]
        @test text(ask("identity", at(quoted, Kind.TEXT, sizeof(quoted)))) == quoted
        # Vectors are copies, but for those that are lent.
        for (x, kind, found) in ((numbers, Kind.NUMBERS, Kind.NUMBERS), (whole, Kind.WHOLES, Kind.WHOLES), (numbers, Kind.LENT, Kind.NUMBERS))
            said = ask("identity", at(x, kind))
            @test said[[1, 3, 4]] == [found, 1, 2] && (said[2] == Int(pointer(x))) == (kind == Kind.LENT)
            @test unsafe_load(Ptr{eltype(x)}(said[2]), 2) == x[2]
        end
        @test ask("transpose_states", at(numbers, Kind.NUMBERS))[1] == Kind.FAILURE
    end
    said = text(ask("no function of this name"))
    @test startswith(said, "UndefVarError") && occursin("Stacktrace", said)
end

@testset "what Python holds, until it lets go of it" begin
    number = PydiffgeoSolvers.crossed(3 => [true false])[2]
    @test PydiffgeoSolvers.held(number) == (3 => [true false])
    @test PydiffgeoSolvers.crossed(PydiffgeoSolvers.part(PydiffgeoSolvers.held(number), "first")) == [Kind.WHOLE, 3]
    kind, address, axes, rows, columns = PydiffgeoSolvers.crossed(PydiffgeoSolvers.part(PydiffgeoSolvers.held(number), "second"))
    @test (kind, axes, rows, columns) == (Kind.WHOLES, 2, 1, 2)
    @test unsafe_load(Ptr{Int}(address), 1) == 1
    PydiffgeoSolvers.let_go([number])
    @test !haskey(PydiffgeoSolvers.KEPT, number)
end

@testset "errors whose words are errors" begin
    struct Wordless <: Exception end
    Base.showerror(::IO, ::Wordless) = error("no words")
    @test PydiffgeoSolvers.told(Wordless(), []) == string(Wordless)
end
