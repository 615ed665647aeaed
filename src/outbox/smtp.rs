//! Speaking to the mail server (RFC 5321): one message on one connection.

use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport as _};

use super::Content;
use super::store::Message as Queued;
use crate::config::{Smtp, SmtpTls};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// How the server took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It has it.
    Yes,
    /// It says no to this message: for now or, with `for_good`, for ever.
    Refused {
        /// Nothing will change by asking again.
        for_good: bool,
        /// In words that hold nothing of the message.
        reason: String,
    },
    /// There is no talking to it.
    Unreachable {
        /// Likewise.
        reason: String,
    },
}

/// A mail server, and the account there.
pub(super) struct Server<'a> {
    settings: &'a Smtp,
    transport: SmtpTransport,
}

impl<'a> Server<'a> {
    /// Gets everything ready; connects to nothing.
    pub(super) fn new(settings: &'a Smtp) -> Result<Self> {
        let tls = || TlsParameters::new(settings.host.clone()).map_err(Error::internal);
        let tls = match settings.tls {
            SmtpTls::Starttls => Tls::Required(tls()?),
            SmtpTls::Tls => Tls::Wrapper(tls()?),
            SmtpTls::None => Tls::None,
        };
        let mut builder = SmtpTransport::builder_dangerous(settings.host.as_str())
            .port(settings.port)
            .timeout(Some(settings.timeout.0))
            .tls(tls);
        if let Some((username, file)) = &settings.login {
            let doing = format!("read {}", file.display());
            let text = std::fs::read_to_string(file).map_err(Error::io(doing))?;
            let text = Secret::new(text);
            let password = text.expose().trim_end_matches(['\n', '\r']).to_owned();
            builder = builder.credentials(Credentials::new(username.clone(), password));
        }
        Ok(Self {
            settings,
            transport: builder.build(),
        })
    }

    /// Sends one message and waits for what the server says.
    pub(super) fn send(&self, queued: &Queued, content: &Content) -> Result<Sent> {
        let message = self.write(queued, content)?;
        Ok(match self.transport.send(&message) {
            Ok(_) => Sent::Yes,
            Err(error) => judge(&error),
        })
    }

    fn write(&self, queued: &Queued, content: &Content) -> Result<Message> {
        let from = self.settings.from.as_str();
        let domain = from.rsplit('@').next().unwrap_or_default();
        let domain = domain.trim_end_matches('>');
        // The same at each attempt: should one be sent twice after all, its reader sees one.
        let id = format!("<{:x}.{:x}@{domain}>", queued.id, queued.created_at.0);
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(from.parse().map_err(Error::internal)?)
            .to(queued.recipient.parse().map_err(Error::internal)?)
            .subject(content.subject.clone())
            .date(queued.created_at.system())
            .message_id(Some(id))
            // So that no machine answers (RFC 3834 §5).
            .raw_header(HeaderValue::new(automatic, "auto-generated".into()))
            // RFC 2045 §4: without it the encoding of the text means nothing.
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(content.text.clone())
            .map_err(Error::internal)
    }
}

/// The server's own words stay out of it: they may repeat the address.
fn judge(error: &lettre::transport::smtp::Error) -> Sent {
    if let Some(code) = error.status() {
        return Sent::Refused {
            for_good: error.is_permanent(),
            reason: format!("refused with {code}"),
        };
    }
    let reason = if error.is_timeout() {
        "no answer in time"
    } else if error.is_tls() {
        "no encrypted connection"
    } else if error.is_response() {
        "an answer that makes no sense"
    } else if error.is_client() {
        "the server lacks what is needed"
    } else {
        "no connection, or it was cut"
    };
    Sent::Unreachable {
        reason: reason.into(),
    }
}
