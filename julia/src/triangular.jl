# Solutions with the factors of `multifrontal.jl`, of the matrix and of its transpose.

"Divides `x` by the matrix, rows after the core included."
function divide!(x::AbstractVector, f::FrontFactors)
    divide_core!(x, f)
    @inbounds for k in axes(f.fronts.border, 2)
        entry, row, column = f.fronts.border[1, k], f.fronts.border[2, k], f.fronts.border[3, k]
        x[row] -= f.values[entry] * x[column]
    end
    @inbounds for i in eachindex(f.inverse)
        x[f.fronts.core+i] *= f.inverse[i]
    end
    return x
end

"Divides the first entries of `x` by the core of the matrix, or by its transpose."
function divide_core!(x, f::FrontFactors; transposed = false)
    f.checked && return divide_unchecked!(x, f, transposed)
    copyto!(f.right, 1, x, 1, f.fronts.core)
    return check!(divide_unchecked!(x, f, transposed), f, transposed)
end

function divide_unchecked!(x, f::FrontFactors, transposed)
    a, z = f.fronts, f.x
    f.pivoted === nothing || return divide_pivoted!(x, f.pivoted, a.core, transposed)
    scaled = f.symmetric && !transposed
    @inbounds for i in 1:a.core
        z[i] = scaled ? f.scale[i] * x[a.order[i]] : x[a.order[i]]
    end
    if f.symmetric
        go_down!(z, f, f.lower, false)
        go_up!(z, f, f.lower, false)
    elseif transposed
        go_down!(z, f, f.upper, true)
        go_up!(z, f, f.lower, true)
    else
        go_down!(z, f, f.lower, false)
        go_up!(z, f, f.upper, false)
    end
    scaled = f.symmetric && transposed
    @inbounds for i in 1:a.core
        x[a.order[i]] = scaled ? f.scale[i] * z[i] : z[i]
    end
    return x
end

"Divides by L, or by U transposed."
function go_down!(z, f::FrontFactors, panels, transposed)
    a, sums = f.fronts, f.sums
    @inbounds for q in 1:supernodes(a)
        c, s, r = a.first[q] - 1, a.first[q+1] - a.first[q], a.below[q+1] - a.below[q]
        block, panel, below = a.blocks[q] - 1, a.panels[q] - 1, a.below[q] - 1
        for k in 1:s
            diagonal = block + (k - 1) * s
            transposed && (z[c+k] *= f.blocks[diagonal+k])
            x = z[c+k]
            if transposed
                for i in k+1:s
                    z[c+i] -= f.blocks[block+(i-1)*s+k] * x
                end
            else
                @simd ivdep for i in k+1:s
                    z[c+i] -= f.blocks[diagonal+i] * x
                end
            end
        end
        r == 0 && continue
        k = 1
        if s < 4
            @simd ivdep for i in 1:r
                sums[i] = panels[panel+i] * z[c+1]
            end
            k = 2
        else
            x1, x2, x3, x4 = z[c+1], z[c+2], z[c+3], z[c+4]
            @simd ivdep for i in 1:r
                sums[i] = panels[panel+i] * x1 + panels[panel+r+i] * x2 + panels[panel+2r+i] * x3 + panels[panel+3r+i] * x4
            end
            k = 5
        end
        while k <= s
            p = panel + (k - 1) * r
            if k + 3 <= s
                x1, x2, x3, x4 = z[c+k], z[c+k+1], z[c+k+2], z[c+k+3]
                @simd ivdep for i in 1:r
                    sums[i] += panels[p+i] * x1 + panels[p+r+i] * x2 + panels[p+2r+i] * x3 + panels[p+3r+i] * x4
                end
                k += 4
            else
                x1 = z[c+k]
                @simd ivdep for i in 1:r
                    sums[i] += panels[p+i] * x1
                end
                k += 1
            end
        end
        for i in 1:r
            z[a.rows[below+i]] -= sums[i]
        end
    end
    return z
end

"Divides by U, or by L transposed; where the matrix is symmetric, U is D times L transposed."
function go_up!(z, f::FrontFactors, panels, transposed)
    a, sums = f.fronts, f.sums
    @inbounds for q in supernodes(a):-1:1
        c, s, r = a.first[q] - 1, a.first[q+1] - a.first[q], a.below[q+1] - a.below[q]
        block, panel, below = a.blocks[q] - 1, a.panels[q] - 1, a.below[q] - 1
        for i in 1:r
            sums[i] = z[a.rows[below+i]]
        end
        k = r == 0 ? s + 1 : 1
        while k <= s
            p = panel + (k - 1) * r
            if k + 3 <= s
                x1 = x2 = x3 = x4 = 0.0
                @simd for i in 1:r
                    y = sums[i]
                    x1 += panels[p+i] * y
                    x2 += panels[p+r+i] * y
                    x3 += panels[p+2r+i] * y
                    x4 += panels[p+3r+i] * y
                end
                z[c+k] -= pivot(f, block, k, s) * x1
                z[c+k+1] -= pivot(f, block, k + 1, s) * x2
                z[c+k+2] -= pivot(f, block, k + 2, s) * x3
                z[c+k+3] -= pivot(f, block, k + 3, s) * x4
                k += 4
            else
                x1 = 0.0
                @simd for i in 1:r
                    x1 += panels[p+i] * sums[i]
                end
                z[c+k] -= pivot(f, block, k, s) * x1
                k += 1
            end
        end
        for k in s:-1:1
            diagonal = block + (k - 1) * s
            if transposed
                x = z[c+k]
                for i in k+1:s
                    x -= f.blocks[diagonal+i] * z[c+i]
                end
                z[c+k] = x
            else
                x = z[c+k] *= f.blocks[diagonal+k]
                @simd ivdep for i in 1:k-1
                    z[c+i] -= f.blocks[diagonal+i] * x
                end
            end
        end
    end
    return z
end

@inline pivot(f::FrontFactors, block, k, s) = f.symmetric ? inv(@inbounds f.blocks[block+(k-1)*s+k]) : 1.0

"Factorises the core with pivoting where its first solution `x` shows that this is needed, and solves once more."
function check!(x, f::FrontFactors, transposed)
    f.checked = true
    accurate(x, f, transposed) && return x
    core, pattern = f.fronts.core, f.pattern
    matrix = SparseMatrixCSC(size(pattern)..., pattern.colptr, pattern.rowval, f.values)[1:core, 1:core]
    factors = lu(matrix; check = false)
    issuccess(factors) || return fill!(x, NaN)
    f.pivoted = factors
    copyto!(x, 1, f.right, 1, core)
    return divide_pivoted!(x, factors, core, transposed)
end

function divide_pivoted!(x, factors, core, transposed)
    part = x[1:core]
    x[1:core] .= transposed ? transpose(factors) \ part : factors \ part
    return x
end

function accurate(x, f::FrontFactors, transposed)
    core, rows, pointers, rest, size = f.fronts.core, rowvals(f.pattern), f.pattern.colptr, copyto!(f.x, f.right), f.sizes
    fill!(size, 0.0)
    @inbounds for column in 1:core
        below, sum, sizes = x[column], 0.0, 0.0
        for at in pointers[column]:pointers[column+1]-1
            row = rows[at]
            row > core && continue
            if transposed
                product = f.values[at] * x[row]
                sum += product
                sizes += abs(product)
            else
                product = f.values[at] * below
                rest[row] -= product
                size[row] += abs(product)
            end
        end
        rest[column] -= sum
        size[column] += sizes
    end
    return maximum(abs, rest) <= RESIDUAL * maximum(size)     # false where something is not finite
end
