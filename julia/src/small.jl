# Linear algebra for few states, where calling LAPACK takes longer than the arithmetic. Integrated fluxes act
# on nothing: with them last, the matrix of a step is [A 0; B D] with D diagonal, and A alone is factorised.

"LU factorisation with partial pivoting, in plain loops, of the first `core` rows and columns; those after them have nothing but their diagonal."
struct SmallLU <: SciMLLinearSolveAlgorithm
    core::Int
end

"One where the columns of `pattern` that follow the core hold nothing but their diagonal."
function SmallLU(pattern::SparseMatrixCSC)
    rows = rowvals(pattern)
    return SmallLU(something(findlast(c -> any(at -> rows[at] != c, nzrange(pattern, c)), axes(pattern, 2)), 0))
end

"The factors in one matrix, as LAPACK has them, but with the inverse of each element of the diagonal of U and of D."
struct SmallFactors{T}
    values::Matrix{T}
    pivots::Vector{Int}
end

LinearSolve.needs_concrete_A(::SmallLU) = true
LinearSolve.init_cacheval(alg::SmallLU, A, args...) = SmallFactors(zeros(eltype(A), size(A)), zeros(Int, alg.core))

function SciMLBase.solve!(cache::LinearCache, alg::SmallLU; kwargs...)
    if cache.isfresh
        factorise!(cache.cacheval, cache.A)
        cache.isfresh = false
    end
    divide!(cache.u, cache.cacheval, cache.b)
    return SciMLBase.build_linear_solution(alg, cache.u, nothing, cache; retcode = SciMLBase.ReturnCode.Success)
end

# A pivot of zero leads to values that are not finite, and these to a step that is refused.
function factorise!(f::SmallFactors, A)
    lu, core = copyto!(f.values, A), length(f.pivots)
    @inbounds for k in 1:core
        pivot = k
        for i in k+1:core
            abs(lu[i, k]) > abs(lu[pivot, k]) && (pivot = i)
        end
        f.pivots[k] = pivot
        if pivot != k
            for j in 1:core
                lu[k, j], lu[pivot, j] = lu[pivot, j], lu[k, j]
            end
        end
        lu[k, k] = inv(lu[k, k])
        for i in k+1:core
            lu[i, k] *= lu[k, k]
        end
        for j in k+1:core, i in k+1:core
            lu[i, j] -= lu[i, k] * lu[k, j]
        end
    end
    @inbounds for i in core+1:size(lu, 1)
        lu[i, i] = inv(lu[i, i])
    end
    return f
end

"Solves for each column of `b`."
function divide!(x, f::SmallFactors, b)
    lu, core = f.values, length(f.pivots)
    x === b || copyto!(x, b)
    @inbounds for c in axes(x, 2)
        for k in 1:core
            p = f.pivots[k]
            x[k, c], x[p, c] = x[p, c], x[k, c]
        end
        for k in 1:core, i in k+1:core
            x[i, c] -= lu[i, k] * x[k, c]
        end
        for k in core:-1:1
            x[k, c] *= lu[k, k]
            for i in 1:k-1
                x[i, c] -= lu[i, k] * x[k, c]
            end
        end
        for j in 1:core, i in core+1:size(lu, 1)
            x[i, c] -= lu[i, j] * x[j, c]
        end
        for i in core+1:size(lu, 1)
            x[i, c] *= lu[i, i]
        end
    end
    return x
end
