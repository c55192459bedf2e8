# What is known of the factors of a large sparse matrix from its pattern alone, and found once for a model: an order of
# elimination with little fill, columns that are eliminated together (supernodes), and where the entries of the matrix
# and the results of one front go in the next. The multifrontal method is that of Duff and Reid (1983, ACM TOMS 9, 302);
# supernodes are merged as in CHOLMOD (Chen et al. 2008, ACM TOMS 35, 22).

"""
The fronts of the first `core` rows and columns of a pattern, made symmetric. Columns are numbered in the order of their
elimination, `order` says which column of the matrix each is. Supernode `q` has the columns `first[q]:first[q+1]-1`, and
below them the rows `rows[below[q]:below[q+1]-1]`, whose places in the front of its parent are in `relative`.
"""
struct Fronts
    core::Int
    order::Vector{Int}
    first::Vector{Int}
    below::Vector{Int}
    rows::Vector{Int}
    relative::Vector{Int}
    children::Vector{Int}        # how many a supernode has; the last one comes directly before it
    sibling::Vector{Int}         # the child before it of its own parent, where there is one
    start::Vector{Int}           # where its entries begin in `entries`
    entries::Vector{Int}         # of the matrix, among what its pattern stores
    places::Vector{Int}          # in the front; those of `upper` are above its diagonal
    upper::Vector{Bool}
    entry_rows::Vector{Int}      # in the order of elimination
    blocks::Vector{Int}          # where the factors of a supernode begin: of its own columns
    panels::Vector{Int}          # and of the rows below
    largest::Int                 # front
    stack::Int                   # the most that waits for a parent
    pairs::Matrix{Int}           # (entry above, entry below, row, column), a column for each pair of entries
    spanning::Matrix{Int}        # the same of a tree that spans the graph, from a root on; empty where not every entry has one opposite
    border::Matrix{Int}          # (entry, row, column) of rows after the core, without their diagonal
    diagonal::Vector{Int}        # entries of the diagonal, of all columns
end

supernodes(a::Fronts) = length(a.first) - 1
"Values in the factor L: a measure of what a solve takes."
fill_of(a::Fronts) = a.blocks[end] - 1 + a.panels[end] - 1

function Fronts(pattern::SparseMatrixCSC, core::Int)
    both = neighbours(pattern, core)
    order = fill_reducing(both)
    columns, parents = symbolic(both, order)
    first, rows, parents = merged(columns, parents)
    return Fronts(pattern, core, order, first, rows, parents)
end

"The pattern of the core and its transpose, with the diagonal of a matrix that is positive definite."
function neighbours(pattern, core)
    part = pattern[1:core, 1:core]
    ones_of = SparseMatrixCSC(core, core, part.colptr, part.rowval, ones(nnz(part)))
    both = ones_of + transpose(ones_of)
    nonzeros(both) .= -1.0
    degrees = vec(sum(abs, both; dims = 1))
    return both + spdiagm(degrees .+ 1.0)
end

# Packages that Python brings along change what CHOLMOD calls: behind a barrier, callers are not compiled anew for that.
"CHOLMOD's order: approximate minimum degree, then such that a column comes right after those it waits for."
fill_reducing(both) = Base.invokelatest(order_of_factors, both)::Vector{Int}
order_of_factors(both) = cholesky(Symmetric(both)).p

"The rows below the diagonal of each column of the factor, and the column that each is merged into."
function symbolic(both, order)
    n = length(order)
    position = invperm(order)
    found, mark, children = [Int[] for _ in 1:n], zeros(Int, n), [Int[] for _ in 1:n]
    parents = zeros(Int, n)
    for j in 1:n
        list = found[j]
        mark[j] = j
        add(i) = i > j && mark[i] != j && (mark[i] = j; push!(list, i))
        foreach(at -> add(position[rowvals(both)[at]]), nzrange(both, order[j]))
        foreach(c -> foreach(add, found[c]), children[j])
        sort!(list)
        isempty(list) && continue
        parents[j] = list[1]
        push!(children[list[1]], j)
    end
    return found, parents
end

# Two supernodes are merged where the zeros that this stores are at most these shares of all, by the number of columns.
const MERGED = ((4, 1.0), (16, 0.6), (48, 0.1), (typemax(Int), 0.03))

"The first column of each supernode, the rows below each, and its parent: columns of one structure, and nearly so."
function merged(columns, parents)
    n = length(columns)
    first = [1]
    for j in 2:n
        parents[j-1] == j && length(columns[j-1]) == length(columns[j]) + 1 || push!(first, j)
    end
    last = [first[2:end] .- 1; n]
    # From the first to the last: a supernode takes in the one directly before it where that is its child.
    kept, zeros_in = Int[], Float64[]      # the number of the last original supernode, and zeros stored
    begins = Int[]
    for q in eachindex(first)
        start, zero_entries = first[q], 0.0
        while !isempty(kept)
            child = last[kept[end]]
            parents[child] != 0 && start <= parents[child] <= last[q] && child == start - 1 || break
            width, narrow = last[q] - start + 1, child - begins[end] + 1
            low, high = length(columns[last[q]]), length(columns[child])
            total = width + narrow
            more = zero_entries + zeros_in[end] + narrow * (width + low - high)
            share = more / (total * (total + 1) / 2 + total * low)
            limit = MERGED[findfirst(rule -> total <= rule[1], MERGED)][2]
            share <= limit || break
            start, zero_entries = begins[end], more
            pop!(kept), pop!(zeros_in), pop!(begins)
        end
        push!(kept, q)
        push!(zeros_in, zero_entries)
        push!(begins, start)
    end
    rows = [columns[last[q]] for q in kept]
    bounds = [begins; n + 1]
    owner = zeros(Int, n)
    foreach(q -> owner[bounds[q]:bounds[q+1]-1] .= q, eachindex(rows))
    return bounds, rows, [isempty(list) ? 0 : owner[list[1]] for list in rows]
end

function Fronts(pattern, core, order, first, rows, parents)
    count, position = length(rows), invperm(order)
    owner, children = zeros(Int, core), zeros(Int, count)
    foreach(q -> owner[first[q]:first[q+1]-1] .= q, 1:count)
    widths = diff(first)
    place_in(q, row) = row < first[q+1] ? row - first[q] + 1 : widths[q] + searchsortedfirst(rows[q], row)
    relative = [[place_in(parents[q], row) for row in rows[q]] for q in 1:count]
    foreach(p -> p == 0 || (children[p] += 1), parents)
    sizes = ones(Int, count)     # of subtrees
    foreach(q -> parents[q] == 0 || (sizes[parents[q]] += sizes[q]), 1:count)
    stack, deepest, waiting = 0, 0, Int[]
    for q in 1:count
        foreach(_ -> stack -= pop!(waiting), 1:children[q])
        push!(waiting, length(rows[q])^2)
        deepest = max(deepest, stack += waiting[end])
    end
    lists = [Tuple{Int,Int,Bool,Int}[] for _ in 1:count]
    border, diagonal = Int[], zeros(Int, size(pattern, 2))
    for column in axes(pattern, 2), at in nzrange(pattern, column)
        row = rowvals(pattern)[at]
        row == column && (diagonal[row] = at)
        if row <= core && column <= core
            i, j = position[row], position[column]
            q = owner[min(i, j)]
            size = widths[q] + length(rows[q])
            push!(lists[q], (at, (place_in(q, j) - 1) * size + place_in(q, i), i < j, i))
        elseif row != column
            append!(border, (at, row, column))
        end
    end
    lengths = length.(rows)
    entries = joined(lists)
    pairs, spanning = opposite(pattern, core, position)
    return Fronts(core, order, first, cumsum([1; lengths]), joined(rows), joined(relative),
                  children, eachindex(sizes) .- sizes, cumsum([1; length.(lists)]), (getindex.(entries, k) for k in 1:4)...,
                  cumsum([1; widths .^ 2]), cumsum([1; widths .* lengths]), maximum(widths .+ lengths), deepest,
                  pairs, spanning, reshape(border, 3, :), diagonal)
end

"Pairs of entries opposite each other, and of them those of trees that span the graph; rows are in the order of elimination."
function opposite(pattern, core, position)
    found, ways = Int[], [Tuple{Int,Int,Int}[] for _ in 1:core]
    entry = Dict{Tuple{Int,Int},Int}()
    for column in 1:core, at in nzrange(pattern, column)
        rowvals(pattern)[at] <= core && (entry[(rowvals(pattern)[at], column)] = at)
    end
    for j in 1:core, at in nzrange(pattern, j)
        (i = rowvals(pattern)[at]) <= core || continue
        back = get(entry, (j, i), 0)
        back == 0 && return zeros(Int, 4, 0), zeros(Int, 4, 0)
        i < j && append!(found, (at, back, position[i], position[j]))
        i != j && push!(ways[position[i]], (position[j], at, back))
    end
    seen, tree = falses(core), Int[]
    for root in 1:core
        seen[root] && continue
        seen[root], line = true, [root]
        for i in line, (j, at, back) in ways[i]
            seen[j] && continue
            seen[j] = true
            push!(line, j)
            append!(tree, (at, back, i, j))
        end
    end
    return reshape(found, 4, :), reshape(tree, 4, :)
end
