//! The log.

/// Starts logging as Lambda asks for it (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`).
pub fn init() {
    lambda_runtime::tracing::init_default_subscriber();
}

/// An error with all its causes, the outermost first: most errors leave it to their source to say what went wrong.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it was called in vain")]
    struct InVain(#[source] std::io::Error);

    #[test]
    fn an_error_is_told_with_its_causes() {
        let refused = std::io::Error::other("connection refused");
        assert_eq!(chain(&InVain(refused)), "it was called in vain: connection refused");
        assert_eq!(chain(&std::io::Error::other("broken")), "broken");
    }
}
