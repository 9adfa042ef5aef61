"""RadGrounder: processor, model, loss, samples, train, predict."""
