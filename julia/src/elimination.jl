# Linear algebra of a step, for few states and for columns. Integrated fluxes act on nothing: with them last, the
# matrix of a step is [A 0; B D] with D diagonal, and A alone is factorised, with partial pivoting: in plain loops
# where it is small, because calling LAPACK would take longer than the arithmetic, and as a tridiagonal matrix where
# it is one.

"Solves by elimination in the first `core` rows and columns; columns after them have nothing but their diagonal."
struct Elimination <: SciMLLinearSolveAlgorithm
    core::Int
end

"The last column of `pattern` that holds more than its diagonal."
function core_of(pattern::SparseMatrixCSC)
    rows = rowvals(pattern)
    return something(findlast(c -> any(at -> rows[at] != c, nzrange(pattern, c)), axes(pattern, 2)), 0)
end

LinearSolve.needs_concrete_A(::Elimination) = true
LinearSolve.init_cacheval(alg::Elimination, A, args...) = factors(A, alg.core)

function SciMLBase.solve!(cache::LinearCache, alg::Elimination; kwargs...)
    if cache.isfresh
        factorise!(cache.cacheval, cache.A)
        cache.isfresh = false
    end
    x = cache.u
    x === cache.b || copyto!(x, cache.b)
    for column in axes(x, 2)
        divide!(x, cache.cacheval, column)
    end
    return SciMLBase.build_linear_solution(alg, x, nothing, cache; retcode = SciMLBase.ReturnCode.Success)
end

"The factors in one matrix, as LAPACK has them, but with the inverse of each element of the diagonal of U and of D."
struct DenseFactors{T}
    values::Matrix{T}
    pivots::Vector{Int}
end

factors(A::Matrix, core) = DenseFactors(zero(A), zeros(Int, core))

# A pivot of zero leads to values that are not finite, and these to a step that is refused.
function factorise!(f::DenseFactors, A)
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

"Divides a column of `x`."
function divide!(x, f::DenseFactors, c)
    lu, core = f.values, length(f.pivots)
    @inbounds begin
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

"The factors of a tridiagonal core, as LAPACK's gttrf has them, with inverses of the diagonal; and the entries of B."
struct ChainFactors{T}
    lower::Vector{T}
    inverse::Vector{T}          # of the diagonal of U, and of that of D
    upper::Vector{T}
    second::Vector{T}           # above `upper`, where rows change places
    swapped::Vector{Bool}       # whether a row changes places with the next
    rows::Vector{Int}
    columns::Vector{Int}
    border::Vector{T}
end

function factors(A::SparseMatrixCSC{T}, core) where {T}
    return ChainFactors(zeros(T, core), zeros(T, size(A, 1)), zeros(T, core), zeros(T, core), zeros(Bool, core), Int[], Int[], T[])
end

function factorise!(f::ChainFactors, A::SparseMatrixCSC)
    lower, d, upper, core = f.lower, f.inverse, f.upper, length(f.swapped)
    # What is stored may change: zeros are left out of matrices that dual numbers are taken apart in.
    foreach(x -> fill!(x, 0), (lower, d, upper, f.second))
    foreach(empty!, (f.rows, f.columns, f.border))
    rows, values = rowvals(A), nonzeros(A)
    @inbounds for column in axes(A, 2), at in nzrange(A, column)
        row = rows[at]
        if row == column
            d[row] = values[at]
        elseif row > core
            push!(f.rows, row)
            push!(f.columns, column)
            push!(f.border, values[at])
        elseif row > column
            lower[column] = values[at]
        else
            upper[row] = values[at]
        end
    end
    @inbounds for i in 1:core-1
        f.swapped[i] = !(abs(d[i]) >= abs(lower[i]))
        if f.swapped[i]
            d[i], lower[i] = inv(lower[i]), d[i] / lower[i]
            upper[i], d[i+1] = d[i+1], upper[i] - lower[i] * d[i+1]
            f.second[i], upper[i+1] = upper[i+1], -lower[i] * upper[i+1]
        else
            d[i] = inv(d[i])
            lower[i] *= d[i]
            d[i+1] -= lower[i] * upper[i]
        end
    end
    @inbounds for i in max(core, 1):length(d)
        d[i] = inv(d[i])
    end
    return f
end

function divide!(x, f::ChainFactors, c)
    core = length(f.swapped)
    @inbounds begin
        for i in 1:core-1
            if f.swapped[i]
                x[i, c], x[i+1, c] = x[i+1, c], x[i, c] - f.lower[i] * x[i+1, c]
            else
                x[i+1, c] -= f.lower[i] * x[i, c]
            end
        end
        above, next = zero(eltype(x)), zero(eltype(x))
        for i in core:-1:1
            above, next = next, (x[i, c] - f.upper[i] * next - f.second[i] * above) * f.inverse[i]
            x[i, c] = next
        end
        for at in eachindex(f.border)
            x[f.rows[at], c] -= f.border[at] * x[f.columns[at], c]
        end
        for i in core+1:size(x, 1)
            x[i, c] *= f.inverse[i]
        end
    end
    return x
end
