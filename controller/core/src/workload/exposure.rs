//! How long requests may take and how large they may be on their way through an Ingress controller: what it can be told by
//! annotations of the Ingress, and what somebody has to change at the controller itself. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;

use drover_crds as crds;

/// Seconds that an Ingress controller gives a request by itself: ingress-nginx's `proxy_read_timeout`, and Traefik's `readTimeout`.
const OWN_SECONDS: u64 = 60;

/// The community's ingress-nginx, as `spec.controller` of an IngressClass names it.
const INGRESS_NGINX: &str = "k8s.io/ingress-nginx";
/// The NGINX Ingress Controller of F5.
const NGINX: &str = "nginx.org/ingress-controller";
/// Traefik.
const TRAEFIK: &str = "traefik.io/ingress-controller";

/// What an app asks of the way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How large a request's body may be.
    pub body: Option<crds::Size>,
    /// Seconds that a request, its upload and its answer may take; only where that is more than controllers give by themselves.
    pub seconds: Option<u64>,
}

impl Limits {
    /// What `spec` asks: what it says, else what gunicorn gives a request.
    pub fn of(spec: &crds::WebAppSpec) -> Self {
        let expose = spec.expose.as_ref();
        let body = expose.and_then(|e| e.max_body_size.clone());
        let gunicorn = spec.gunicorn.as_ref().and_then(|g| g.timeout);
        let timeout = expose.and_then(|e| e.timeout).or(gunicorn.filter(|t| t.as_secs() > OWN_SECONDS));
        Self { body, seconds: timeout.map(crds::Duration::as_secs) }
    }

    /// How large a request's body may be, in bytes.
    pub fn bytes(&self) -> Option<u64> {
        self.body.as_ref().map(bytes)
    }

    /// Whether nothing is asked.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The annotations by which the controller of that name is told; none where it reads none.
    pub fn annotations(&self, controller: &str) -> BTreeMap<String, String> {
        let body = |name: &str| self.body.as_ref().map(|size| (name.to_owned(), bytes(size).to_string()));
        let time = |name: &str, unit: &str| self.seconds.map(|seconds| (name.to_owned(), format!("{seconds}{unit}")));
        let told = match controller {
            // It takes the whole body before it asks the app, so a slow upload holds no worker.
            INGRESS_NGINX => vec![
                body("nginx.ingress.kubernetes.io/proxy-body-size"),
                Some(("nginx.ingress.kubernetes.io/proxy-request-buffering".to_owned(), "on".to_owned())),
                time("nginx.ingress.kubernetes.io/proxy-read-timeout", ""),
                time("nginx.ingress.kubernetes.io/proxy-send-timeout", ""),
            ],
            NGINX => vec![
                body("nginx.org/client-max-body-size"),
                time("nginx.org/proxy-read-timeout", "s"),
                time("nginx.org/proxy-send-timeout", "s"),
            ],
            _ => Vec::new(),
        };
        told.into_iter().flatten().collect()
    }

    /// What of it the controller of `class` cannot be told, and what an administrator has not said to be allowed there.
    pub fn shortfall(&self, class: &Class, allowed: &[Allowance]) -> Option<Shortfall> {
        let (name, controller) = match class {
            _ if self.is_none() => return None,
            Class::Of { name, controller } => (name, controller),
            Class::Missing { name } => return Some(Shortfall::missing(name.as_deref())),
            Class::Unreadable => return Some(Shortfall::unreadable()),
        };
        let allowance = allowed.iter().find(|allowance| allowance.controller == *controller);
        let allows = |seconds: &u64| allowance.and_then(|a| a.timeout).is_some_and(|t| t.as_secs() >= *seconds);
        let fits = |body: &crds::Size| {
            let largest = allowance.and_then(|a| a.max_body_size.as_ref());
            largest.is_some_and(|largest| largest.milli_bytes() >= body.milli_bytes())
        };
        match controller.as_str() {
            INGRESS_NGINX | NGINX => None,
            // It lets bodies of any size through.
            TRAEFIK => self.seconds.filter(|s| *s > OWN_SECONDS && !allows(s)).map(|s| Shortfall::traefik(name, s)),
            _ => {
                let body = self.body.clone().filter(|body| !fits(body));
                let left = Self { body, seconds: self.seconds.filter(|s| !allows(s)) };
                (!left.is_none()).then(|| Shortfall::unknown(name, controller, &left))
            }
        }
    }
}

fn bytes(size: &crds::Size) -> u64 {
    u64::try_from((size.milli_bytes() + 999) / 1000).unwrap_or(u64::MAX)
}

/// The class of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// One that is there.
    Of {
        /// Its name.
        name: String,
        /// Who serves it, as its `spec.controller` says.
        controller: String,
    },
    /// None of that name, or no default one.
    Missing {
        /// The name.
        name: Option<String>,
    },
    /// drover may not read classes.
    Unreadable,
}

/// What an administrator says that an Ingress controller lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The controller, as `spec.controller` of its IngressClass names it.
    pub controller: String,
    /// How long a request may take.
    pub timeout: Option<crds::Duration>,
    /// How large a body may be.
    pub max_body_size: Option<crds::Size>,
}

impl FromStr for Allowance {
    type Err = String;

    /// Reads `CONTROLLER,timeout=DURATION,maxBodySize=SIZE`, in which one of the two may be missing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            format!(
                "`{text}` {why}: write CONTROLLER,timeout=DURATION,maxBodySize=SIZE, such as {TRAEFIK},timeout=180s"
            )
        };
        let mut parts = text.split(',');
        let controller = parts.next().filter(|name| !name.is_empty()).ok_or_else(|| wrong("names no controller"))?;
        let mut allowance = Self { controller: controller.to_owned(), timeout: None, max_body_size: None };
        for part in parts {
            match part.split_once('=') {
                Some(("timeout", value)) => allowance.timeout = Some(value.parse()?),
                Some(("maxBodySize", value)) => {
                    allowance.max_body_size =
                        Some(value.parse().map_err(|error: crds::InvalidSize| error.to_string())?);
                }
                _ => return Err(wrong("has a part that is neither timeout nor maxBodySize")),
            }
        }
        if allowance.timeout.is_none() && allowance.max_body_size.is_none() {
            return Err(wrong("allows nothing"));
        }
        Ok(allowance)
    }
}

/// What an Ingress class does not honour of what the app asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// One CamelCase word.
    pub reason: &'static str,
    /// One sentence: what is cut, where, and what to change.
    pub sentence: String,
}

impl Shortfall {
    fn missing(name: Option<&str>) -> Self {
        let class = match name {
            Some(name) => format!("there is no Ingress class {name}"),
            None => "the cluster has no default Ingress class, and expose names none".to_owned(),
        };
        let sentence = format!(
            "{class}, so nobody is told how long and how large requests may be: write one of `kubectl get ingressclass` in expose.ingressClassName"
        );
        Self { reason: "IngressClassMissing", sentence }
    }

    fn unreadable() -> Self {
        let sentence = "drover may not read Ingress classes, so nobody is told how long and how large requests may be: an administrator can give it get and list on ingressclasses.networking.k8s.io, as the chart does";
        Self { reason: "MayNotReadClasses", sentence: sentence.to_owned() }
    }

    fn traefik(class: &str, seconds: u64) -> Self {
        let timeout = crds::Duration::from_secs(seconds);
        let sentence = format!(
            "Traefik, which serves the Ingress class {class}, cuts a request whose upload takes more than {OWN_SECONDS}s at its entry point, and this app gives requests {timeout}: set transport.respondingTimeouts.readTimeout of Traefik's entry points to {timeout} or more, and tell drover by the chart's value ingressControllers: {{{TRAEFIK}: {{timeout: {timeout}}}}}"
        );
        Self { reason: "EntryPointTimeout", sentence }
    }

    fn unknown(class: &str, controller: &str, left: &Limits) -> Self {
        let time = left.seconds.map(|s| format!("timeout: {}", crds::Duration::from_secs(s)));
        let body = left.body.as_ref().map(|size| format!("maxBodySize: {size}"));
        let asked: Vec<String> = time.into_iter().chain(body).collect();
        let asked = asked.join(", ");
        let sentence = format!(
            "drover does not know how {controller}, which serves the Ingress class {class}, is told what the app asks ({asked}): say it to that controller, by expose.annotations or in its own configuration, and tell drover by the chart's value ingressControllers: {{{controller}: {{{asked}}}}}"
        );
        Self { reason: "UnknownController", sentence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(controller: &str) -> Class {
        Class::Of { name: "web".into(), controller: controller.into() }
    }

    fn limits(body: Option<&str>, timeout: Option<u64>, gunicorn: Option<u64>) -> Limits {
        let expose = crds::Expose {
            max_body_size: body.map(|size| size.parse().expect("a size")),
            timeout: timeout.map(crds::Duration::from_secs),
            ..Default::default()
        };
        let gunicorn = gunicorn
            .map(|seconds| crds::Gunicorn { timeout: Some(crds::Duration::from_secs(seconds)), ..Default::default() });
        Limits::of(&crds::WebAppSpec { expose: Some(expose), gunicorn, ..Default::default() })
    }

    #[test]
    fn a_request_may_take_as_long_at_the_proxy_as_in_gunicorn() {
        assert!(limits(None, None, Some(30)).is_none(), "less than proxies give by themselves");
        assert_eq!(limits(None, None, Some(180)).seconds, Some(180));
        assert_eq!(limits(None, Some(20), Some(180)).seconds, Some(20));
        assert!(!limits(Some("100Mi"), None, None).is_none());
    }

    #[test]
    fn nginx_is_told_all_of_it() {
        let asked = limits(Some("100Mi"), Some(180), None);
        let told = asked.annotations(INGRESS_NGINX);
        assert_eq!(told["nginx.ingress.kubernetes.io/proxy-body-size"], "104857600");
        assert_eq!(told["nginx.ingress.kubernetes.io/proxy-read-timeout"], "180");
        assert_eq!(told["nginx.ingress.kubernetes.io/proxy-send-timeout"], "180");
        assert_eq!(told["nginx.ingress.kubernetes.io/proxy-request-buffering"], "on");
        assert_eq!(asked.annotations(NGINX)["nginx.org/proxy-read-timeout"], "180s");
        assert!(asked.annotations(TRAEFIK).is_empty());
        for controller in [INGRESS_NGINX, NGINX] {
            assert_eq!(asked.shortfall(&of(controller), &[]), None);
        }
    }

    #[test]
    fn what_traefik_cuts_is_said_until_somebody_has_changed_it() {
        let allowed: Vec<Allowance> = vec![format!("{TRAEFIK},timeout=180s").parse().expect("an allowance")];
        let said = |seconds, allowed: &[Allowance]| {
            let asked = limits(Some("100Mi"), Some(seconds), None);
            asked.shortfall(&of(TRAEFIK), allowed).map(|shortfall| shortfall.reason)
        };
        assert_eq!(said(60, &[]), None);
        assert_eq!(said(180, &[]), Some("EntryPointTimeout"));
        assert_eq!(said(180, &allowed), None);
        assert_eq!(said(181, &allowed), Some("EntryPointTimeout"));
        let sentence = limits(None, Some(180), None).shortfall(&of(TRAEFIK), &[]).expect("cut").sentence;
        assert!(sentence.ends_with("{traefik.io/ingress-controller: {timeout: 3m}}"), "{sentence}");
    }

    #[test]
    fn of_a_controller_that_drover_does_not_know_all_is_said() {
        let asked = limits(Some("100Mi"), Some(180), None);
        let sentence = |allowed: &[Allowance]| asked.shortfall(&of("example.org/proxy"), allowed).map(|s| s.sentence);
        assert!(sentence(&[]).expect("unknown").ends_with("{example.org/proxy: {timeout: 3m, maxBodySize: 100Mi}}"));
        let half = ["example.org/proxy,maxBodySize=1Gi".parse().expect("an allowance")];
        assert!(sentence(&half).expect("half").ends_with("{example.org/proxy: {timeout: 3m}}"));
        let whole = ["example.org/proxy,maxBodySize=1Gi,timeout=1h".parse().expect("an allowance")];
        assert_eq!(sentence(&whole), None);
        assert!(asked.shortfall(&Class::Missing { name: None }, &whole).is_some());
        assert!(asked.shortfall(&Class::Unreadable, &whole).is_some());
        assert_eq!(Limits::default().shortfall(&Class::Unreadable, &[]), None, "nothing is asked");
    }

    #[test]
    fn an_allowance_that_allows_nothing_is_none() {
        for wrong in ["", ",timeout=1s", TRAEFIK, "a,timeout=1", "a,maxBodySize=1", "a,b=1", "a,timeout"] {
            assert!(wrong.parse::<Allowance>().is_err(), "{wrong}");
        }
    }
}
