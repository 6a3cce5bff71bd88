//! By which answers the API server refuses a request, told apart in one place.

use kube::Error;
use kube::core::Status;

/// How the API server refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not know who asks.
    Unauthorized,
    /// Who asks may not, or an admission plugin said no.
    Forbidden,
    /// The object, its namespace or its kind is not there.
    NotFound,
    /// The object is there already, is another one or another version by now, or somebody else has fields of it.
    Conflict,
    /// What server-side apply cannot read it calls an error of the server's own.
    Internal,
    /// What was sent is wrong. To be asked less often, which is status 429, is not that.
    Wrong,
}

impl Refusal {
    /// What a status says; `None` where it is no refusal: the API server is busy or broken.
    pub fn of(status: &Status) -> Option<Self> {
        match status.code {
            401 => Some(Self::Unauthorized),
            403 => Some(Self::Forbidden),
            404 => Some(Self::NotFound),
            409 => Some(Self::Conflict),
            500 => Some(Self::Internal),
            400..=428 | 430..=499 => Some(Self::Wrong),
            _ => None,
        }
    }
}

/// How the API server refused a request; `None` for one that failed otherwise.
pub fn refusal(error: &Error) -> Option<Refusal> {
    match error {
        Error::Api(status) => Refusal::of(status),
        _ => None,
    }
}

/// Whether what was asked for, its namespace or its kind is not there.
pub fn is_not_found(error: &Error) -> bool {
    refusal(error) == Some(Refusal::NotFound)
}

/// Whether another was there first.
pub fn is_conflict(error: &Error) -> bool {
    refusal(error) == Some(Refusal::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_server_that_is_busy_refuses_nothing() {
        let of = |code| refusal(&Error::Api(Status { code, ..Status::default() }.boxed()));
        assert_eq!(of(404), Some(Refusal::NotFound));
        assert_eq!(of(409), Some(Refusal::Conflict));
        assert_eq!([of(400), of(410), of(422)], [Some(Refusal::Wrong); 3]);
        assert_eq!([of(429), of(503), of(504), of(0)], [None; 4]);
        assert_eq!(refusal(&Error::LinesCodecMaxLineLengthExceeded), None);
    }
}
