//! The log.

use std::io;

use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
use lambda_runtime::tracing::subscriber::{EnvFilter, fmt};
use tracing::Dispatch;

use super::config::{Environment, Lookup, optional};

/// Starts logging as Lambda asks for it (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`), or `RUST_LOG` where it is set.
pub fn init() {
    subscriber(&Environment, io::stdout).init();
}

/// What `lambda_runtime` would start, but for the `timestamp` of JSON lines: a line without one counts as `INFO` for
/// Lambda, whatever it says (Lambda's developer guide, "Log-level filtering"). It is the machine's time, since the log is
/// about the process. Lines of text have none: CloudWatch adds its own.
fn subscriber<W>(lookup: &impl Lookup, writer: W) -> Dispatch
where
    W: for<'writer> fmt::MakeWriter<'writer> + Send + Sync + 'static,
{
    let directives = optional(lookup, "RUST_LOG");
    let level = optional(lookup, "AWS_LAMBDA_LOG_LEVEL").or_else(|| directives.clone());
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let filter = EnvFilter::builder().with_default_directive(level.into()).parse_lossy(directives.unwrap_or_default());
    let lines = fmt().with_target(false).with_env_filter(filter).with_writer(writer);
    match optional(lookup, "AWS_LAMBDA_LOG_FORMAT") {
        Some(format) if format.eq_ignore_ascii_case("json") => lines.json().into(),
        _ => lines.without_time().into(),
    }
}

/// An error with all its causes, the outermost first: most errors leave it to their source to say what went wrong.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, SystemTime};

    use aws_smithy_types::DateTime;
    use aws_smithy_types::date_time::Format;
    use serde_json::{Value, json};
    use tracing::{debug, error, info, info_span, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines of what is logged with settings.
    fn logged(settings: &[(&str, &str)], log: impl FnOnce()) -> Vec<String> {
        let lookup =
            |name: &str| settings.iter().find(|(setting, _)| *setting == name).map(|(_, value)| (*value).to_owned());
        let written = Written::default();
        let writer = written.clone();
        tracing::dispatcher::with_default(&subscriber(&lookup, move || writer.clone()), log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_of_json_says_when_how_bad_and_what() {
        let before = SystemTime::now();
        let lines = logged(&[("AWS_LAMBDA_LOG_FORMAT", "JSON")], || {
            let _span = info_span!("message", sqs.message_id = "m-1").entered();
            warn!(push.id = "p", devices = 3, "Sent \"3\"\nof them");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        let said = line["timestamp"].as_str().unwrap();
        assert!(said.ends_with('Z'), "{said}");
        let at = SystemTime::try_from(DateTime::from_str(said, Format::DateTime).unwrap()).unwrap();
        // Written to the microsecond.
        let before = before - Duration::from_micros(1);
        assert!(before <= at && at <= SystemTime::now(), "{said}");
        assert_eq!(line["level"], "WARN");
        let fields = json!({"message": "Sent \"3\"\nof them", "push.id": "p", "devices": 3});
        assert_eq!((&line["fields"], &line["span"]["sqs.message_id"]), (&fields, &"m-1".into()));
        assert_eq!(line.get("target"), None);
    }

    #[test]
    fn a_line_of_text_leaves_the_time_to_others() {
        for settings in [&[][..], &[("AWS_LAMBDA_LOG_FORMAT", "Text")], &[("AWS_LAMBDA_LOG_FORMAT", "")]] {
            let lines = logged(settings, || info!("Ready"));
            assert!(lines.len() == 1 && !lines[0].contains(':') && lines[0].ends_with("Ready"), "{lines:?}");
        }
    }

    #[test]
    fn lambda_says_what_is_logged_unless_the_environment_does() {
        for (settings, count) in [
            (&[][..], 3),
            (&[("AWS_LAMBDA_LOG_LEVEL", "DEBUG")], 4),
            (&[("AWS_LAMBDA_LOG_LEVEL", "ERROR")], 1),
            (&[("AWS_LAMBDA_LOG_LEVEL", "")], 3),
            (&[("AWS_LAMBDA_LOG_LEVEL", "loud")], 3),
            (&[("RUST_LOG", "warn")], 2),
            (&[("RUST_LOG", "debug,fanfare::runtime=error")], 1),
            (&[("AWS_LAMBDA_LOG_LEVEL", "WARN"), ("RUST_LOG", "debug")], 4),
        ] {
            let lines = logged(settings, || {
                error!("four");
                warn!("three");
                info!("two");
                debug!("one");
            });
            assert_eq!(lines.len(), count, "{settings:?}: {lines:?}");
        }
    }

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
