# The matrix of a step, J - I / (gamma h) of the states alone, as the adjoint needs it: its transpose for going back, and
# itself where stages are computed again.

"Factors of the matrix and of its transpose, each from the linear solver that is fastest for their pattern."
struct BothFactors{L,M}
    transposed::L
    transposed_matrix::M
    turned::SparseMatrixCSC{Float64,Int}
    turned_places::Vector{Int}    # of its values among the entries of the Jacobian
    straight::L
    straight_matrix::M
    values::SparseMatrixCSC{Float64,Int}
    places::Vector{Int}
    entries::Vector{Float64}      # of the Jacobian, of which the matrix itself is made only when it is needed
    shift::Base.RefValue{Float64}
end

function BothFactors(m::Model)
    values, places = state_pattern(m)
    return BothFactors(linear_cache(m.transposed)..., copy(m.transposed), m.places, linear_cache(values)..., copy(values), places,
                       zeros(nnz(m.pattern)), Ref(NaN))
end

function linear_cache(pattern)
    J, linsolve = prototype(pattern, Float64)
    # Its diagonal makes the first, never used, matrix regular.
    foreach(i -> J[i, i] = 1.0, axes(J, 1))
    return init(SciMLBase.LinearProblem(J, zeros(size(J, 1))), linsolve), J
end

function set_matrix!(s::BothFactors, w::Work, shift)
    copyto!(s.entries, w.entries)
    s.shift[] = shift
    set_matrix!(s.transposed, s.transposed_matrix, s.turned, s.turned_places, s.entries, shift)
end

function set_matrix!(linear, matrix, pattern, places, entries, shift)
    values, rows = nonzeros(pattern), rowvals(pattern)
    @inbounds for column in axes(pattern, 2), at in nzrange(pattern, column)
        values[at] = entries[places[at]] - (rows[at] == column ? shift : 0.0)
    end
    fill_entries!(matrix, pattern, values)
    linear.A = matrix
    return nothing
end

"`b` divided by the transposed matrix of the step, in memory of the solver."
divide_transposed_step!(s::BothFactors, b) = (s.transposed.b = b; solved(s.transposed))

"`b` divided by the matrix of the step, in memory of the solver."
function divide_step!(s::BothFactors, b)
    if !isnan(s.shift[])
        set_matrix!(s.straight, s.straight_matrix, s.values, s.places, s.entries, s.shift[])
        s.shift[] = NaN
    end
    s.straight.b = b
    return solved(s.straight)
end

function solved(linear)
    found = SciMLBase.solve!(linear)
    SciMLBase.successful_retcode(found) || throw(Failure(:SingularMatrix))
    return found.u
end

"The same on fronts, where one factorisation serves both."
struct OneFactor
    factors::FrontFactors
    values::Vector{Float64}
    x::Vector{Float64}
end

OneFactor(fronts::Fronts, m::Model) = OneFactor(FrontFactors(fronts, m.pattern), zeros(nnz(m.pattern)), zeros(m.n_states))

function set_matrix!(s::OneFactor, w::Work, shift)
    copyto!(s.values, w.entries)
    @inbounds for i in 1:w.model.n_states
        s.values[s.factors.fronts.diagonal[i]] -= shift
    end
    factorise!(s.factors, s.values)
    return nothing
end

divide_step!(s::OneFactor, b) = divide_core!(copyto!(s.x, b), s.factors)
divide_transposed_step!(s::OneFactor, b) = divide_core!(copyto!(s.x, b), s.factors; transposed = true)

step_adjoint(w::Work, ::Nothing) = StepAdjoint(w, BothFactors(w.model), RODAS5P)
step_adjoint(w::Work, fronts::Fronts) = StepAdjoint(w, OneFactor(fronts, w.model), RODAS5P)
