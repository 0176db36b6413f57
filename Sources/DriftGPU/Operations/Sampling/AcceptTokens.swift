/// Takes drawn tokens in the place of guesses. Inputs: tokens [B, R, C] and known [B] int32 (stored, written to), drawn
/// [B, G, C], tally [B, G or more] int32 and distance [B, R] (stored, written to). Output: last [B] int32.
struct AcceptTokens: Operation {
    let tolerance: Float

    var name: String { "accept_tokens" }
    var mutatedInputs: [Int] { [0, 1, 3, 4] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (tokens, known, drawn) = (inputs[0], inputs[1], inputs[2])
        guard tokens.rank == 3, drawn.rank == 3, known == TensorType([tokens.shape[0]], .int32), drawn.shape[0] == tokens.shape[0],
            drawn.columns == tokens.columns, tolerance >= 0, inputs[3].rank == 2,
            inputs[3].element == .int32, inputs[3].rows == tokens.shape[0], inputs[3].columns >= drawn.shape[1],
            inputs[4] == TensorType(Array(tokens.shape.prefix(2)))
        else {
            throw GraphError("accept_tokens: drawn \(drawn) into \(tokens), known \(known), tally \(inputs[3]), distance \(inputs[4]), tolerance \(tolerance)")
        }
        return [known]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (tokens, drawn) = (context.inputs[0], context.inputs[2])
        return [
            context.rowLaunch(
                "accept_tokens", family: name, rows: tokens.shape[0],
                arguments: [
                    .input(0), .input(2), .input(1), .input(3), .input(4), .output(0), .int(tokens.shape[0]),
                    .int(drawn.shape[1]), .int(tokens.shape[1]),
                    .int(tokens.columns), .int(context.inputs[3].columns), .float(tolerance),
                ], traffic: Traffic(bytes: 12 * drawn.count, flops: 3 * drawn.count))
        ]
    }
}

extension Graph {
    /// Of each sequence the first known[b] `tokens` [B, R, C] are final, those behind are guesses. `drawn` [B, G, C] has what a causal
    /// model draws for the next G from these. Each run puts them into their places and adds to `known` [B] int32 how many are final:
    /// one, and one more for each guess from the first on that lay within `tolerance` (root mean square) of what was drawn for it.
    /// `tally` [B, G or more] int32 counts: entry a - 1 the runs that made a tokens final. `distance` [B, R]: of each guess that was
    /// checked how far it was from what was drawn. Returns the number of the last of `drawn` that is final [B] int32, -1 where the
    /// sequence was complete.
    @discardableResult
    public func acceptTokens(
        _ drawn: Tensor, into tokens: Tensor, known: Tensor, tally: Tensor, distance: Tensor, tolerance: Float
    ) throws -> Tensor {
        try apply(AcceptTokens(tolerance: tolerance), [tokens, known, drawn, tally, distance])[0]
    }
}
