//! What a spec says of its routes, with nothing missing and nothing that could not stand in a configuration.

use std::collections::BTreeSet;

use core::net::{IpAddr, SocketAddr};

use drover_crds as crds;

use super::refused::Refused;
use super::value::{Cidr, Header, Host, Path, VolumeName, shown};
use super::zone;
use crate::address::is_private_to_the_node;

/// For how long a day's log is kept.
const KEEP_SECONDS: u64 = 720 * 3600;

/// What the volume of a DataSync is called that the app has no volume of: no app's volume begins so.
const OF_A_DATA_SYNC: &str = "drover-data-";
/// And that of files of the app's image.
const OF_ASSETS: &str = "drover-assets-";

/// What an administrator has said of fronts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The image that they run from, which has the program nginx.
    pub image: Option<String>,
    /// The Secrets of the namespace that it is pulled with.
    pub pull_secrets: Vec<String>,
    /// The proxies that may say from where a request came.
    pub trusted: Vec<Cidr>,
    /// The image with the program drover-errands, which removes old logs, and the Secrets that it is pulled with.
    pub errands: (String, Vec<String>),
    /// Whether nothing of this is known, since there is no cluster: then nothing is refused for the lack of it.
    pub unknown: bool,
}

impl Terms {
    /// Where there is no cluster.
    pub fn unknown() -> Self {
        Self { image: Some("nginx".to_owned()), unknown: true, ..Self::default() }
    }
}

/// A front in which nothing is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// By hosts, and with the routes of each as they were written.
    pub sites: Vec<Site>,
    /// The image that it runs from.
    pub image: String,
    /// The Secrets of the namespace that it is pulled with.
    pub pull_secrets: Vec<String>,
    /// The proxies that may say from where a request came.
    pub trusted: Vec<Cidr>,
    /// How large the body of a request may be, in bytes; `None` leaves that to the ingress controller.
    pub body_bytes: Option<u64>,
    /// Seconds for which a server may send nothing.
    pub seconds: u64,
    /// Its access log.
    pub log: Option<AccessLog>,
}

/// An access log per local day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// The time zone, as `TZ` has it.
    pub zone: String,
    /// Where jobs find it.
    pub mount_path: String,
    /// Whole days for which a file is kept after its own.
    pub keep_days: u64,
}

/// A host and its routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The host.
    pub(super) host: Host,
    /// Its routes; no two have the same path.
    pub places: Vec<Place>,
}

/// A path and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path.
    pub(super) path: Path,
    /// Where it leads.
    pub to: Target,
    /// What the server gets in place of the path.
    pub(super) rewritten: Option<Path>,
    /// Who may ask; `None` for everybody.
    pub(super) allowed: Option<Vec<Cidr>>,
    /// Headers of every answer.
    pub(super) headers: Vec<Header>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A Service of the namespace.
    Service(ServicePort),
    /// A server outside the cluster.
    Address(SocketAddr),
    /// Files of a volume.
    Files(Files),
}

/// A port of a Service of the namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePort {
    /// The Service.
    pub service: String,
    /// The number of its port.
    pub port: i32,
}

/// Files of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The volume.
    pub(super) volume: VolumeName,
    /// The DataSync whose files these are, where the app itself has no such volume.
    pub data_sync: Option<String>,
    /// The assets of the app whose files these are, in several sets.
    pub assets: Option<String>,
    /// Whether its first page answers for pages that are no files.
    pub single_page: bool,
}

/// The name of the volume with the sets of these assets.
pub fn assets_volume(assets: &str) -> String {
    crds::bounded_name(&format!("{OF_ASSETS}{assets}"))
}

impl Files {
    /// The name of the volume.
    pub fn volume(&self) -> &str {
        self.volume.as_str()
    }
}

impl Front {
    /// Whether who asks is let in or not by the address that proxies tell.
    pub fn judges_addresses(&self) -> bool {
        let mut places = self.sites.iter().flat_map(|site| &site.places);
        !self.trusted.is_empty() && places.any(|place| place.allowed.is_some())
    }

    /// The front of an app with that spec, whose routes to the app itself lead to the port that `app` gives. Requests may be as large as
    /// `body_bytes` and take `seconds`, where that is said. `None` where it needs none.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn of(
        spec: &crds::WebAppSpec,
        terms: &Terms,
        app: impl Fn(&crds::AppTarget) -> ServicePort,
        (body_bytes, seconds): (Option<u64>, Option<u64>),
    ) -> Result<Option<Self>, Refused> {
        if !spec.has_front() {
            return Ok(None);
        }
        let mut sites: Vec<Site> = Vec::new();
        for route in &spec.routes {
            let host = Host::new(&route.host)?;
            let place = Place::of(route, terms, &app)?;
            let at = sites.iter().position(|site| site.host == host).unwrap_or_else(|| {
                sites.push(Site { host, places: Vec::new() });
                sites.len() - 1
            });
            let site = &mut sites[at];
            if site.places.iter().any(|known| known.path == place.path) {
                return Err(Refused::Twice { host: route.host.clone(), path: place.path.as_str().to_owned() });
            }
            site.places.push(place);
        }
        let log = spec.logs.as_ref().map(AccessLog::of).transpose()?;
        if log.is_some() && sites.is_empty() {
            return Err(Refused::NothingLogged);
        }
        let image = terms.image.clone().ok_or_else(|| Refused::NoImage { why: why(spec) })?;
        Ok(Some(Self {
            sites,
            image,
            pull_secrets: terms.pull_secrets.clone(),
            trusted: terms.trusted.clone(),
            body_bytes,
            seconds: seconds.unwrap_or(60),
            log,
        }))
    }

    /// The ports of Services that it leads to.
    pub fn services(&self) -> impl Iterator<Item = &ServicePort> {
        self.places().filter_map(|place| match &place.to {
            Target::Service(service) => Some(service),
            Target::Address(_) | Target::Files(_) => None,
        })
    }

    /// The routes that lead to that port of a Service, as people write them.
    pub fn routes_to(&self, to: &ServicePort) -> Vec<String> {
        let mut routes = Vec::new();
        for site in &self.sites {
            let leads = |place: &&Place| matches!(&place.to, Target::Service(service) if service == to);
            for Place { path, .. } in site.places.iter().filter(leads) {
                routes.push(format!("{}{}", site.host, if path.is_root() { "/" } else { path.as_str() }));
            }
        }
        routes
    }

    /// The routes to files of these volumes, as people write them, and the DataSyncs whose files these are.
    pub fn routes_to_files(&self, volumes: &BTreeSet<String>) -> Vec<(String, String)> {
        let mut routes = Vec::new();
        for site in &self.sites {
            for Place { path, to, .. } in &site.places {
                if let Target::Files(Files { volume, data_sync: Some(sync), .. }) = to
                    && volumes.contains(volume.as_str())
                {
                    let path = if path.is_root() { "/" } else { path.as_str() };
                    routes.push((format!("{}{path}", site.host), sync.clone()));
                }
            }
        }
        routes
    }

    /// Refuses these files.
    pub fn refuse_files(&self, files: &Files, why: &'static str) -> Refused {
        let (host, path) = self.route_to(files);
        Refused::Volume { host, path, volume: files.volume().to_owned(), why }
    }

    /// The first route that leads to these files, as host and path.
    fn route_to(&self, files: &Files) -> (String, String) {
        let leads = |place: &&Place| matches!(&place.to, Target::Files(known) if known == files);
        let found = self.sites.iter().find_map(|site| Some((site, site.places.iter().find(leads)?)));
        found.map_or_else(Default::default, |(site, place)| {
            let path = if place.path.is_root() { "/" } else { place.path.as_str() };
            (site.host.to_string(), path.to_owned())
        })
    }

    /// Refuses these files, which are to be those of assets that the app has not.
    pub fn refuse_assets(&self, files: &Files, assets: &str) -> Refused {
        let (host, path) = self.route_to(files);
        Refused::NoAssets { host, path, assets: assets.to_owned() }
    }

    /// The files that it serves.
    pub fn files(&self) -> impl Iterator<Item = &Files> {
        self.places().filter_map(|place| match &place.to {
            Target::Files(files) => Some(files),
            Target::Service(_) | Target::Address(_) => None,
        })
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.sites.iter().flat_map(|site| &site.places)
    }
}

/// What of a spec needs a front.
fn why(spec: &crds::WebAppSpec) -> String {
    match spec.routes.iter().find(|route| route.asks_for_a_front()) {
        Some(crds::Route { host, path, .. }) => format!("the route {host}{path}"),
        None => "logs".to_owned(),
    }
}

impl AccessLog {
    fn of(logs: &crds::Logs) -> Result<Self, Refused> {
        let seconds = logs.keep.map_or(KEEP_SECONDS, crds::Duration::as_secs);
        Ok(Self {
            zone: zone::rule(logs.time_zone.as_deref().unwrap_or(crate::schedule::TIME_ZONE))?,
            mount_path: logs.mount_path.clone(),
            keep_days: seconds.div_ceil(86_400).max(1),
        })
    }
}

impl Place {
    fn of(route: &crds::Route, terms: &Terms, app: &impl Fn(&crds::AppTarget) -> ServicePort) -> Result<Self, Refused> {
        let host = route.host.clone();
        let plain = |field, text: &str| {
            Path::new(text).ok_or_else(|| Refused::Path { host: host.clone(), field, path: shown(text) })
        };
        let path = plain("path", &route.path)?;
        let rewritten = route.rewrite_path.as_deref().map(|text| plain("rewritePath", text)).transpose()?;
        let to = target(route, app)?;
        let (host, written) = (route.host.clone(), route.path.clone());
        if rewritten.is_some() && matches!(to, Target::Files(_)) {
            return Err(Refused::RewrittenFiles { host, path: written });
        }
        let headers = headers(route)?;
        let allowed = route.allow_from.as_ref().map(|ranges| allowed(route, ranges, terms)).transpose()?;
        Ok(Self { path, to, rewritten, allowed, headers })
    }
}

fn headers(route: &crds::Route) -> Result<Vec<Header>, Refused> {
    let mut headers: Vec<Header> = Vec::with_capacity(route.headers.len());
    for (name, value) in &route.headers {
        let header = Header::new(name, value)?;
        if headers.iter().any(|known| header.is(&known.name().to_ascii_lowercase())) {
            let (host, path) = (route.host.clone(), route.path.clone());
            return Err(Refused::HeaderTwice { host, path, name: name.clone() });
        }
        headers.push(header);
    }
    Ok(headers)
}

fn allowed(route: &crds::Route, ranges: &[String], terms: &Terms) -> Result<Vec<Cidr>, Refused> {
    let (host, path) = (route.host.clone(), route.path.clone());
    if ranges.is_empty() {
        return Err(Refused::NobodyAllowed { host, path });
    }
    if terms.trusted.is_empty() && !terms.unknown {
        return Err(Refused::NobodyTrusted { host, path });
    }
    let range = |text: &String| text.parse();
    ranges.iter().map(range).collect::<Result<_, _>>().map_err(|why| Refused::AllowFrom { host, path, why })
}

fn target(route: &crds::Route, app: &impl Fn(&crds::AppTarget) -> ServicePort) -> Result<Target, Refused> {
    let (host, path) = (route.host.clone(), route.path.clone());
    let crds::RouteTarget { app: own, service, address, files } = &route.to;
    match (own, service, address, files) {
        (Some(own), None, None, None) => Ok(Target::Service(app(own))),
        (None, Some(crds::ServiceTarget { name, port }), None, None) => {
            Ok(Target::Service(ServicePort { service: name.clone(), port: *port }))
        }
        (None, None, Some(crds::AddressTarget { host: address, port }), None) => {
            let Ok(ip) = address.parse::<IpAddr>() else {
                return Err(Refused::Address { host, path, address: shown(address) });
            };
            if is_private_to_the_node(ip) {
                return Err(Refused::Inner { host, path, address: shown(address) });
            }
            let known = u16::try_from(*port).ok().filter(|port| *port > 0);
            known.map(|port| Target::Address((ip, port).into())).ok_or(Refused::Port { host, path, port: *port })
        }
        (None, None, None, Some(files)) => {
            let (data_sync, assets) = (files.data_sync.clone(), files.assets.clone());
            let name = match (&files.volume, &data_sync, &assets) {
                (Some(volume), None, None) => volume.clone(),
                (None, Some(sync), None) => crds::bounded_name(&format!("{OF_A_DATA_SYNC}{sync}")),
                (None, None, Some(assets)) => assets_volume(assets),
                _ => return Err(Refused::FilesSource { host, path }),
            };
            let why =
                "which is no name: write that of one of spec.volumes or spec.assets, or of a DataSync in dataSync";
            let volume = shown(files.volume.as_ref().or(data_sync.as_ref()).or(assets.as_ref()).unwrap_or(&name));
            let volume_name = VolumeName::new(&name).ok_or(Refused::Volume { host, path, volume, why })?;
            let single_page = files.single_page.unwrap_or(false);
            Ok(Target::Files(Files { volume: volume_name, data_sync, assets, single_page }))
        }
        _ => Err(Refused::Target { host, path }),
    }
}
