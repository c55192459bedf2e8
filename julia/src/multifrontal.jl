# Factors of large sparse matrices on the fronts of `fronts.jl`: L U without pivoting, or where scaled rows make the matrix
# symmetric, as those of groundwater and of heat, L D L', at half the work. Whether pivots were needed is seen in the
# first solution: where its residual is large, the matrix is factorised once more with pivoting.

"""
Numbers of the factors of a matrix on its fronts. A supernode has a block with L below the diagonal, U above it and the inverse
of U's own diagonal, and panels of the rows below: of L, and unless the matrix is symmetric of U transposed.
"""
mutable struct FrontFactors
    const fronts::Fronts
    const blocks::Vector{Float64}
    const lower::Vector{Float64}
    upper::Vector{Float64}              # empty as long as matrices are symmetric
    const front::Vector{Float64}
    const stack::Vector{Float64}
    const scale::Vector{Float64}        # of the rows, in the order of elimination
    const x::Vector{Float64}
    const sums::Vector{Float64}
    const right::Vector{Float64}        # right-hand side of a solution that is checked
    const sizes::Vector{Float64}        # of the terms of its residual
    values::Vector{Float64}             # of the matrix
    const inverse::Vector{Float64}      # of the diagonal after the core
    symmetric::Bool                     # of the last matrix; once one was not, none is taken for it
    checked::Bool
    pivoted::Union{Nothing,SparseArrays.UMFPACK.UmfpackLU{Float64,Int}}
    const pattern::SparseMatrixCSC{Float64,Int}
end

function FrontFactors(a::Fronts, pattern::SparseMatrixCSC)
    n = size(pattern, 2)
    return FrontFactors(a, zeros(a.blocks[end] - 1), zeros(a.panels[end] - 1), Float64[], zeros(a.largest^2), zeros(a.stack),
                        ones(a.core), zeros(a.core), zeros(a.largest), zeros(a.core), zeros(a.core), Float64[], zeros(n - a.core), !isempty(a.pairs), false,
                        nothing, pattern)
end

# Rows count as symmetric where opposite entries, scaled, differ by no more than this share of them.
const ASYMMETRY = 1e-12
# A residual above this share of matrix times solution asks for pivoting.
const RESIDUAL = 1e-11

"Factorises the matrix whose pattern stores `values`, which is kept for the check of the first solution."
function factorise!(f::FrontFactors, values::Vector{Float64})
    a = f.fronts
    f.values, f.checked, f.pivoted = values, false, nothing
    if !all(isfinite, values)
        # The step is refused, and says nothing of the next matrix.
        fill!(f.blocks, NaN)
        f.checked = true
        return f
    end
    f.symmetric = f.symmetric && symmetrise!(f.scale, a, values)
    if !f.symmetric && isempty(f.upper)
        f.upper = zeros(length(f.lower))
    end
    top = 0
    for q in 1:supernodes(a)
        top = eliminate_front!(f, q, top, values)
    end
    @inbounds for i in eachindex(f.inverse)
        f.inverse[i] = inv(values[a.diagonal[a.core+i]])
    end
    return f
end

"Scales of the rows with which the matrix is symmetric; false where there are none."
function symmetrise!(scale, a::Fronts, values)
    fill!(scale, 1.0)
    @inbounds for k in axes(a.spanning, 2)
        at, back, i, j = a.spanning[1, k], a.spanning[2, k], a.spanning[3, k], a.spanning[4, k]
        scale[j] = scale[i] * values[at] / values[back]
    end
    @inbounds for k in axes(a.pairs, 2)
        there, back = scale[a.pairs[3, k]] * values[a.pairs[1, k]], scale[a.pairs[4, k]] * values[a.pairs[2, k]]
        abs(there - back) <= ASYMMETRY * abs(there) || return false
    end
    return true
end

"Puts the front of a supernode together, eliminates its columns, and leaves the rest on the stack for its parent."
function eliminate_front!(f::FrontFactors, q, top, values)
    a, F = f.fronts, f.front
    s, r = a.first[q+1] - a.first[q], a.below[q+1] - a.below[q]
    n = s + r
    @inbounds @simd for i in 1:n*n
        F[i] = 0.0
    end
    @inbounds if f.symmetric
        for at in a.start[q]:a.start[q+1]-1
            a.upper[at] || (F[a.places[at]] += f.scale[a.entry_rows[at]] * values[a.entries[at]])
        end
    else
        for at in a.start[q]:a.start[q+1]-1
            F[a.places[at]] += values[a.entries[at]]
        end
    end
    child = q - 1
    for _ in 1:a.children[q]
        top = extend_add!(F, n, f, child, top)
        child = a.sibling[child]
    end
    panel!(F, n, 1, s, f.symmetric)
    if r > 0
        f.symmetric ? mirror!(F, n, 1, s, s + 1, n) : divide_rows!(F, n, 1, s, s + 1, n)
        schur!(F, n, s, f.symmetric)
    end
    keep_factors!(f, q, s, r)
    @inbounds for j in 1:r, i in (f.symmetric ? j : 1):r
        f.stack[top+(j-1)*r+i] = F[(s+j-1)*n+s+i]
    end
    return top + r * r
end

"Adds what a child left on the stack, which ends at `top`, to the front of its parent; returns where the stack ends then."
function extend_add!(F, n, f::FrontFactors, child, top)
    a, stack = f.fronts, f.stack
    first, r = a.below[child] - 1, a.below[child+1] - a.below[child]
    top -= r * r
    @inbounds for j in 1:r
        to, from = (a.relative[first+j] - 1) * n, top + (j - 1) * r
        for i in (f.symmetric ? j : 1):r
            F[to+a.relative[first+i]] += stack[from+i]
        end
    end
    return top
end

function keep_factors!(f::FrontFactors, q, s, r)
    F, n = f.front, s + r
    block, panel = f.fronts.blocks[q] - 1, f.fronts.panels[q] - 1
    @inbounds for j in 1:s
        @simd ivdep for i in 1:s
            f.blocks[block+(j-1)*s+i] = F[(j-1)*n+i]
        end
        @simd ivdep for i in 1:r
            f.lower[panel+(j-1)*r+i] = F[(j-1)*n+s+i]
        end
    end
    f.symmetric && return nothing
    @inbounds for i in 1:r, j in 1:s
        f.upper[panel+(j-1)*r+i] = F[(s+i-1)*n+j]
    end
    return nothing
end

# The arithmetic of a front `F`, `n` rows of which are stored column by column.

# Columns up to this many are eliminated one by one.
const NARROW = 8

"Eliminates the columns `first:last` in all rows below; the diagonal is inverted."
function panel!(F, n, first, last, symmetric)
    if last - first >= NARROW
        middle = (first + last) >> 1
        panel!(F, n, first, middle, symmetric)
        symmetric ? mirror!(F, n, first, middle, middle + 1, last) : divide_rows!(F, n, first, middle, middle + 1, last)
        subtract!(F, n, middle + 1, n, middle + 1, last, first, middle)
        return panel!(F, n, middle + 1, last, symmetric)
    end
    @inbounds for k in first:last
        column = (k - 1) * n
        inverse = F[column+k] = inv(F[column+k])
        symmetric && mirror_plain!(F, n, k, last)
        @simd ivdep for i in k+1:n
            F[column+i] *= inverse
        end
        for j in k+1:last
            other = (j - 1) * n
            factor = F[other+k]
            @simd ivdep for i in k+1:n
                F[other+i] -= factor * F[column+i]
            end
        end
    end
    return nothing
end

"Of a symmetric front: the row of U next to a column that is not yet divided by its diagonal."
@inline function mirror_plain!(F, n, k, last)
    @inbounds for j in k+1:last
        F[(j-1)*n+k] = F[(k-1)*n+j]
    end
end

"Of a symmetric front: rows `first:last` of U in the columns `left:right`."
function mirror!(F, n, first, last, left, right)
    @inbounds for k in first:last
        column = (k - 1) * n
        pivot = inv(F[column+k])
        for j in left:right
            F[(j-1)*n+k] = pivot * F[column+j]
        end
    end
    return nothing
end

"Rows `first:last` of U in the columns `left:right`: divides by the unit triangle of L."
function divide_rows!(F, n, first, last, left, right)
    if last - first >= NARROW
        middle = (first + last) >> 1
        divide_rows!(F, n, first, middle, left, right)
        subtract!(F, n, middle + 1, last, left, right, first, middle)
        return divide_rows!(F, n, middle + 1, last, left, right)
    end
    @inbounds for j in left:right
        other = (j - 1) * n
        for k in first:last-1
            factor = F[other+k]
            for i in k+1:last
                F[other+i] -= F[(k-1)*n+i] * factor
            end
        end
    end
    return nothing
end

# Columns of the rest that are taken together where it is symmetric, and only half of it needed.
const STRIP = 48

function schur!(F, n, s, symmetric)
    symmetric || return subtract!(F, n, s + 1, n, s + 1, n, 1, s)
    for j in s+1:STRIP:n
        subtract!(F, n, j, n, j, min(j + STRIP - 1, n), 1, s)
    end
    return nothing
end

# From this many products on, calling BLAS is worth it.
const BLAS_PAYS = 40_000

"F[top:bottom, left:right] -= F[top:bottom, first:last] * F[first:last, left:right]"
function subtract!(F, n, top, bottom, left, right, first, last)
    if (bottom - top + 1) * (right - left + 1) * (last - first + 1) >= BLAS_PAYS
        A = reshape(view(F, 1:n*n), n, n)
        BLAS.gemm!('N', 'N', -1.0, view(A, top:bottom, first:last), view(A, first:last, left:right), 1.0,
                   view(A, top:bottom, left:right))
        return nothing
    end
    j = left
    @inbounds while j <= right
        a, two = (j - 1) * n, j < right
        b = two ? a + n : a
        k = first
        while k <= last
            c = (k - 1) * n
            if k + 3 <= last && two
                p1, p2, p3, p4 = F[a+k], F[a+k+1], F[a+k+2], F[a+k+3]
                q1, q2, q3, q4 = F[b+k], F[b+k+1], F[b+k+2], F[b+k+3]
                @simd ivdep for i in top:bottom
                    x1, x2, x3, x4 = F[c+i], F[c+n+i], F[c+2n+i], F[c+3n+i]
                    F[a+i] -= p1 * x1 + p2 * x2 + p3 * x3 + p4 * x4
                    F[b+i] -= q1 * x1 + q2 * x2 + q3 * x3 + q4 * x4
                end
                k += 4
            elseif two
                p1, q1 = F[a+k], F[b+k]
                @simd ivdep for i in top:bottom
                    F[a+i] -= p1 * F[c+i]
                    F[b+i] -= q1 * F[c+i]
                end
                k += 1
            else
                p1 = F[a+k]
                @simd ivdep for i in top:bottom
                    F[a+i] -= p1 * F[c+i]
                end
                k += 1
            end
        end
        j += 2
    end
    return nothing
end

"Solves with the factors of `fronts.jl`, for systems of the pattern that these were found for."
struct Multifrontal <: SciMLLinearSolveAlgorithm
    fronts::Fronts
    pattern::SparseMatrixCSC{Float64,Int}
end

LinearSolve.needs_concrete_A(::Multifrontal) = true
LinearSolve.init_cacheval(alg::Multifrontal, A, args...) = FrontFactors(alg.fronts, alg.pattern)

function SciMLBase.solve!(cache::LinearCache, alg::Multifrontal; kwargs...)
    if cache.isfresh
        factorise!(cache.cacheval, nonzeros(cache.A))
        cache.isfresh = false
    end
    x = cache.u
    x === cache.b || copyto!(x, cache.b)
    divide!(x, cache.cacheval)
    return SciMLBase.build_linear_solution(alg, x, nothing, cache; retcode = SciMLBase.ReturnCode.Success)
end

# Systems of fewer states, and with less fill than this times as much, as trees of reaches, go to KLU: they have small
# fronts only.
const MANY, FILL = 100, 10

"The fronts of a model whose steps are solved on them; nothing where there are better ways."
function fronts_of(m::Model)
    lock(m.lock) do
        if m.fronts[] === missing
            core = m.n_states
            found = core < MANY || tridiagonal(m.pattern, core) ? nothing : Fronts(m.pattern, core)
            m.fronts[] = found === nothing || fill_of(found) < FILL * core ? nothing : found
        end
    end
    return m.fronts[]
end

"As `prototype`, for the steps of a model."
function step_prototype(m::Model)
    fronts = fronts_of(m)
    return fronts === nothing ? prototype(m.pattern, Float64) : (copy(m.pattern), Multifrontal(fronts, m.pattern))
end

"What solves the linear systems of the steps of a solver, in words."
function linear_solver(m::Model, solver, sensitivity)
    core = core_of(m.pattern)
    (is_small(m) || (solver == EULER ? m.n_states : size_of(m)) <= DENSE) && return "dense"
    tridiagonal(m.pattern, core) && return "banded"
    multifrontal = solver in ("Rodas5P", EULER) && sensitivity != "forward" && fronts_of(m) !== nothing
    return multifrontal ? "sparse direct (multifrontal)" : "sparse direct (KLU)"
end
