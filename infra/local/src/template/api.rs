//! The HTTP API and the WebSocket API, from their explicit resources.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::fields::Fields;
use super::function::Function;
use super::scope::{Scope, api_id};
use super::yaml::Node;
use super::{ACCOUNT, Error};
use crate::gateway::routes::RouteKey;

/// The HTTP API with its routes.
#[derive(Clone, Debug)]
pub struct HttpApi {
    /// What API Gateway calls it.
    pub id: String,
    /// Its routes, in the template's order.
    pub routes: Vec<HttpRoute>,
    /// What browsers of other origins may do.
    pub cors: Option<Cors>,
}

/// One route of the HTTP API.
#[derive(Clone, Debug)]
pub struct HttpRoute {
    /// What it matches.
    pub key: RouteKey,
    /// The name of the function that answers.
    pub function: String,
    /// How long API Gateway waits for it.
    pub timeout: Duration,
}

/// Cross-origin rules, as API Gateway applies them by itself.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins that may ask, or `*`.
    pub origins: Vec<String>,
    /// Methods they may use.
    pub methods: Vec<String>,
    /// Headers they may send.
    pub headers: Vec<String>,
    /// Headers they may read.
    pub exposed: Vec<String>,
    /// Seconds for which a browser may remember.
    pub max_age: Option<u64>,
    /// Whether cookies may come along.
    pub credentials: bool,
}

/// The WebSocket API with its routes.
#[derive(Clone, Debug)]
pub struct SocketApi {
    /// What API Gateway calls it.
    pub id: String,
    /// Its stage, the last part of its address on AWS.
    pub stage: String,
    /// The path into a frame's JSON that names its route: `["type"]` for `$request.body.type`.
    pub selection: Vec<String>,
    /// Route keys with the names of the functions that answer.
    pub routes: BTreeMap<String, String>,
}

impl SocketApi {
    /// The function that handles `route`.
    pub fn function(&self, route: &str) -> Option<&str> {
        self.routes.get(route).map(String::as_str)
    }
}

/// The resources of the APIs, which may come in any order.
#[derive(Default)]
pub(super) struct Apis {
    apis: Vec<Api>,
    integrations: HashMap<String, Integration>,
    routes: Vec<Route>,
    stages: Vec<(String, String, usize)>,
}

struct Api {
    id: String,
    line: usize,
    protocol: Protocol,
}

enum Protocol {
    Http(Option<Cors>),
    Socket(Vec<String>),
}

struct Integration {
    function: String,
    timeout: Duration,
    payload_format: Option<String>,
    line: usize,
}

struct Route {
    api: String,
    key: String,
    target: String,
    line: usize,
}

impl Apis {
    pub fn api(&mut self, scope: &Scope<'_>, id: &str, node: &Node) -> Result<(), Error> {
        let api = Fields::new(
            scope,
            node,
            "an API",
            &["CorsConfiguration", "ProtocolType", "RouteSelectionExpression"],
            &["Description", "DisableExecuteApiEndpoint", "Name", "Tags"],
        )?;
        let kind = api.required("ProtocolType")?;
        let protocol = match scope.text(kind)?.as_str() {
            "HTTP" => Protocol::Http(cors(&api)?),
            "WEBSOCKET" => Protocol::Socket(selection(scope, &api)?),
            other => return Err(Error::new(kind.line, format!("{other} is no protocol"))),
        };
        self.apis.push(Api { id: id.to_owned(), line: node.line, protocol });
        Ok(())
    }

    pub fn integration(&mut self, scope: &Scope<'_>, id: &str, node: &Node) -> Result<(), Error> {
        let integration = Fields::new(
            scope,
            node,
            "an integration",
            &["IntegrationType", "IntegrationUri", "PayloadFormatVersion", "TimeoutInMillis"],
            &["ApiId", "ConnectionType", "Description", "IntegrationMethod"],
        )?;
        let kind = integration.required("IntegrationType")?;
        if scope.text(kind)? != "AWS_PROXY" {
            return Err(Error::new(kind.line, "only AWS_PROXY integrations run here"));
        }
        let uri = integration.required("IntegrationUri")?;
        let arn = scope.text(uri)?;
        let function = arn
            .split_once(&format!(":{ACCOUNT}:function:"))
            .map(|(_, rest)| rest.split('/').next().unwrap_or(rest).to_owned())
            .ok_or_else(|| Error::new(uri.line, "the integration leads to no function"))?;
        let timeout = integration.parsed("TimeoutInMillis")?.unwrap_or(30_000);
        self.integrations.insert(
            id.to_owned(),
            Integration {
                function,
                timeout: Duration::from_millis(timeout),
                payload_format: integration.text("PayloadFormatVersion")?,
                line: node.line,
            },
        );
        Ok(())
    }

    pub fn route(&mut self, scope: &Scope<'_>, node: &Node) -> Result<(), Error> {
        let route = Fields::new(
            scope,
            node,
            "a route",
            &["ApiId", "AuthorizationType", "RouteKey", "Target"],
            &["OperationName"],
        )?;
        if route.text("AuthorizationType")?.is_some_and(|kind| kind != "NONE") {
            return Err(Error::new(node.line, "authorizers do not run here"));
        }
        self.routes.push(Route {
            api: route.required_text("ApiId")?,
            key: route.required_text("RouteKey")?,
            target: route.required_text("Target")?,
            line: route.required("RouteKey")?.line,
        });
        Ok(())
    }

    pub fn stage(&mut self, scope: &Scope<'_>, node: &Node) -> Result<(), Error> {
        let stage = Fields::new(
            scope,
            node,
            "a stage",
            &["ApiId", "AutoDeploy", "StageName"],
            &["AccessLogSettings", "DefaultRouteSettings", "Description", "RouteSettings", "Tags"],
        )?;
        if stage.parsed("AutoDeploy")? != Some(true) {
            return Err(Error::new(
                node.line,
                "the local stack deploys a stage by itself, so it needs AutoDeploy: true",
            ));
        }
        self.stages.push((
            stage.required_text("ApiId")?,
            stage.required_text("StageName")?,
            stage.required("StageName")?.line,
        ));
        Ok(())
    }

    /// Puts the parts together.
    pub fn finish(self, functions: &[Function]) -> Result<(Option<HttpApi>, Option<SocketApi>), Error> {
        let (mut http, mut socket) = (None, None);
        for api in &self.apis {
            let id = api_id(&api.id);
            let (stage, stage_line) = self.stage_of(api, &id)?;
            match &api.protocol {
                Protocol::Http(_) if stage != "$default" => {
                    return Err(Error::new(
                        stage_line,
                        "the local stack serves only the stage $default of an HTTP API",
                    ));
                }
                Protocol::Http(_) if http.is_some() => {
                    return Err(Error::new(api.line, "there is one HTTP API already"));
                }
                Protocol::Http(cors) => {
                    http = Some(HttpApi { routes: self.http_routes(&id, functions)?, cors: cors.clone(), id });
                }
                Protocol::Socket(_) if socket.is_some() => {
                    return Err(Error::new(api.line, "there is one WebSocket API already"));
                }
                Protocol::Socket(selection) => {
                    socket = Some(SocketApi {
                        routes: self.socket_routes(&id, functions)?,
                        stage: stage.to_owned(),
                        selection: selection.clone(),
                        id,
                    });
                }
            }
        }
        Ok((http, socket))
    }

    fn stage_of(&self, api: &Api, id: &str) -> Result<(&str, usize), Error> {
        self.stages
            .iter()
            .find_map(|(of, name, line)| (of == id).then_some((name.as_str(), *line)))
            .ok_or_else(|| Error::new(api.line, format!("the API {} has no stage", api.id)))
    }

    fn http_routes(&self, api: &str, functions: &[Function]) -> Result<Vec<HttpRoute>, Error> {
        let mut routes: Vec<HttpRoute> = Vec::new();
        for route in self.routes.iter().filter(|route| route.api == api) {
            let integration = self.integration_of(route, functions)?;
            if integration.payload_format.as_deref() != Some("2.0") {
                return Err(Error::new(integration.line, "only PayloadFormatVersion \"2.0\" is spoken here"));
            }
            let key: RouteKey = route.key.parse().map_err(|error| Error::new(route.line, format!("{error}")))?;
            if routes.iter().any(|other| other.key == key) {
                return Err(Error::new(route.line, "the API has this route already"));
            }
            routes.push(HttpRoute { key, function: integration.function.clone(), timeout: integration.timeout });
        }
        Ok(routes)
    }

    fn socket_routes(&self, api: &str, functions: &[Function]) -> Result<BTreeMap<String, String>, Error> {
        let mut routes = BTreeMap::new();
        for route in self.routes.iter().filter(|route| route.api == api) {
            let integration = self.integration_of(route, functions)?;
            routes.insert(route.key.clone(), integration.function.clone());
        }
        Ok(routes)
    }

    fn integration_of(&self, route: &Route, functions: &[Function]) -> Result<&Integration, Error> {
        let integration = route
            .target
            .strip_prefix("integrations/")
            .and_then(|id| self.integrations.get(id))
            .ok_or_else(|| Error::new(route.line, "the route leads to no integration"))?;
        if !functions.iter().any(|function| function.name == integration.function) {
            return Err(Error::new(integration.line, format!("there is no function `{}`", integration.function)));
        }
        Ok(integration)
    }
}

fn cors(api: &Fields<'_, '_>) -> Result<Option<Cors>, Error> {
    if api.get("CorsConfiguration")?.is_none() {
        return Ok(None);
    }
    let cors = api.nested(
        "CorsConfiguration",
        &["AllowCredentials", "AllowHeaders", "AllowMethods", "AllowOrigins", "ExposeHeaders", "MaxAge"],
        &[],
    )?;
    Ok(Some(Cors {
        origins: cors.texts("AllowOrigins")?,
        methods: cors.texts("AllowMethods")?,
        headers: cors.texts("AllowHeaders")?,
        exposed: cors.texts("ExposeHeaders")?,
        max_age: cors.parsed("MaxAge")?,
        credentials: cors.parsed("AllowCredentials")?.unwrap_or(false),
    }))
}

fn selection(scope: &Scope<'_>, api: &Fields<'_, '_>) -> Result<Vec<String>, Error> {
    let expression = api.required("RouteSelectionExpression")?;
    let text = scope.text(expression)?;
    let text = text.trim_start_matches("${").trim_start_matches('$');
    text.trim_end_matches('}')
        .strip_prefix("request.body.")
        .map(|path| path.split('.').map(str::to_owned).collect())
        .ok_or_else(|| Error::new(expression.line, "only $request.body.… selects a route here"))
}
