# The matrix of a step of a system of few states, of plain numbers or of lanes: Gauss elimination with partial pivoting.
# A row that holds a larger pivot changes places with the one above it, lane by lane: by selection, without branches, and
# not at all where no lane asks for it.

struct SmallFactors{T,M}
    values::Matrix{T}       # L below the diagonal, U above it, and the inverse of U's diagonal
    swaps::Matrix{M}        # [row, k]: whether the row changed places with row `k`
    swapped::Vector{Bool}   # [k]: whether any did
end

SmallFactors{T}(n) where {T} = SmallFactors(zeros(T, n, n), fill(mask_type(T)(false), n, n), zeros(Bool, n))

@inline function exchange!(x, c::Bool, i, j)
    @inbounds c && ((x[i], x[j]) = (x[j], x[i]))
    return nothing
end

@inline function exchange!(x, c::Mask, i, j)
    @inbounds a, b = x[i], x[j]
    @inbounds x[i], x[j] = pick(c, b, a), pick(c, a, b)
    return nothing
end

# A pivot of zero leads to values that are not finite, and these to a step that is refused.
function factorise!(f::SmallFactors)
    lu, n = f.values, size(f.values, 1)
    @inbounds for k in 1:n
        f.swapped[k] = false
        for i in k+1:n
            larger = abs(lu[i, k]) > abs(lu[k, k])
            any_lane(larger) || (f.swaps[i, k] = larger; continue)
            f.swaps[i, k], f.swapped[k] = larger, true
            for j in 0:n-1
                exchange!(lu, larger, k + j * n, i + j * n)
            end
        end
        inverse = lu[k, k] = inv(lu[k, k])
        for i in k+1:n
            lu[i, k] *= inverse
        end
        for j in k+1:n
            above = lu[k, j]
            for i in k+1:n
                lu[i, j] = fused(-lu[i, k], above, lu[i, j])
            end
        end
    end
    return f
end

"Divides `x`."
function divide!(x::Vector, f::SmallFactors)
    lu, n = f.values, size(f.values, 1)
    @inbounds for k in 1:n
        f.swapped[k] || continue
        for i in k+1:n
            exchange!(x, f.swaps[i, k], k, i)
        end
    end
    # Row by row: sums stay in registers.
    @inbounds for i in 2:n
        sum = x[i]
        for k in 1:i-1
            sum = fused(-lu[i, k], x[k], sum)
        end
        x[i] = sum
    end
    @inbounds for i in n:-1:1
        sum = x[i]
        for k in n:-1:i+1
            sum = fused(-lu[i, k], x[k], sum)
        end
        x[i] = sum * lu[i, i]
    end
    return x
end

"Divides `x` by the transposed matrix."
function divide_transposed!(x::Vector, f::SmallFactors)
    lu, n = f.values, size(f.values, 1)
    @inbounds for k in 1:n
        sum = x[k]
        for i in 1:k-1
            sum = fused(-lu[i, k], x[i], sum)
        end
        x[k] = sum * lu[k, k]
    end
    @inbounds for k in n-1:-1:1
        sum = x[k]
        for i in k+1:n
            sum = fused(-lu[i, k], x[i], sum)
        end
        x[k] = sum
    end
    @inbounds for k in n:-1:1
        f.swapped[k] || continue
        for i in n:-1:k+1
            exchange!(x, f.swaps[i, k], k, i)
        end
    end
    return x
end
