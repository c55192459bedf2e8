# Factors on fronts against those of UMFPACK, which pivots.

using PydiffgeoSolvers: FrontFactors, Fronts, divide!, divide_core!, factorise!, fill_of, supernodes

"Two rows of integrated fluxes below a matrix."
bordered(A) = [A spzeros(size(A, 1), 2); sparse([1, 2, 2], [3, 1, 5], [0.3, -2.0, 1.5], 2, size(A, 1)) spdiagm([3.0, -2.0])]

function grid(n; values = i -> 1.0)
    chain = spdiagm(-1 => fill(-1.0, n - 1), 1 => fill(-1.0, n - 1))
    A = kron(chain, I(n)) + kron(I(n), chain)
    nonzeros(A) .*= values.(1:nnz(A))
    return A - spdiagm(vec(sum(A; dims = 1))) + 0.1I
end

# Two parts that nothing connects, and one long row of cells beside a grid.
apart(A, B) = [A spzeros(size(A, 1), size(B, 2)); spzeros(size(B, 1), size(A, 2)) B]
scaled(A) = spdiagm(exp.(sin.(1:size(A, 1)))) * A
chain(n) = spdiagm(-1 => fill(-1.0, n - 1), 0 => fill(2.5, n), 1 => fill(-1.0, n - 1))
star(n) = sparse([1:n; fill(1, n - 1); 2:n], [1:n; 2:n; fill(1, n - 1)], [fill(n * 1.0, n); fill(-0.5, 2n - 2)])

@testset "factors on fronts: $name" for (name, A, symmetric) in (
    ("a grid", grid(23), true),
    ("scaled rows", scaled(grid(23)), true),
    ("with a direction", grid(23; values = i -> 1 + 0.5 * sin(i)), false),
    ("large fronts", grid(90), true),
    ("large fronts with a direction", grid(90; values = i -> 1 + 0.5 * sin(i)), false),
    ("apart", apart(scaled(grid(7)), chain(30)), true),
    ("one connected to all", star(40), true),
    ("diagonal", spdiagm(1.0:9.0), false),
    ("upwind", spdiagm(-1 => fill(-1.0, 29), 0 => fill(2.0, 30)), false),
)
    whole, n = bordered(A), size(A, 1)
    fronts = Fronts(whole, n)
    @test sort(fronts.order) == 1:n
    f = factorise!(FrontFactors(fronts, whole), copy(nonzeros(whole)))
    for b in (cos.(1:n+2), sin.(1:n+2))
        @test relative(divide!(copy(b), f), whole \ b) < 1e-11
        @test relative(divide_core!(b[1:n], f; transposed = true), transpose(A) \ b[1:n]) < 1e-11
    end
    @test f.symmetric == symmetric && f.pivoted === nothing
    # What is not finite gives nothing that is, and is forgotten.
    @test !any(isfinite, divide!(ones(n + 2), factorise!(f, fill(NaN, nnz(whole))))[1:n])
    @test relative(divide!(ones(n + 2), factorise!(f, copy(nonzeros(whole)))), whole \ ones(n + 2)) < 1e-11
    @test f.symmetric == symmetric
end

@testset "pivots where they are needed" begin
    # The diagonal vanishes, or nearly so: what is not zero stands beside it.
    A = grid(12; values = i -> 1 + 0.5 * sin(i))
    n = size(A, 1)
    for tiny in (0.0, 1e-14)
        foreach(i -> A[i, i] = tiny, 1:n)
        foreach(i -> A[i, i+1] += 3.0, 1:2:n-1)
        foreach(i -> A[i+1, i] -= 2.0, 1:2:n-1)
        whole = bordered(A)
        f = FrontFactors(Fronts(whole, n), whole)
        for transposed in (false, true)
            factorise!(f, copy(nonzeros(whole)))
            b = cos.(1:n)
            @test relative(divide_core!(copy(b), f; transposed), (transposed ? transpose(A) : A) \ b) < 1e-9
        end
        @test f.pivoted !== nothing
    end
    # A matrix that is singular.
    A = grid(12)
    whole = bordered(A - 0.1I)
    A[:, 3] .= 0.0
    foreach(i -> whole[i, 3] = 0.0, findall(!iszero, whole[:, 3]))
    f = factorise!(FrontFactors(Fronts(whole, n), whole), copy(nonzeros(whole)))
    @test !all(isfinite, divide!(ones(n + 2), f))
end

@testset "fill of a grid" begin
    # George (1973, SIAM J. Numer. Anal. 10, 345): of the order of n log n, where the order of the rows would leave n^1.5.
    @test fill_of(Fronts(bordered(grid(60)), 3600)) < 3600 * 30
    @test supernodes(Fronts(bordered(chain(50)), 50)) < 25
end
