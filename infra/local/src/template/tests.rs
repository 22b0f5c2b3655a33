//! What the template may say, and where it is told off.

use fanfare::channel::{Rates, traits};
use fanfare::domain::Channel;
use fanfare::runtime::metrics::MetricName;
use serde_json::{Value as Json, json};

use super::function::short_name;
use super::*;

fn around() -> Surroundings {
    Surroundings { sqs_url: "http://127.0.0.1:1".to_owned(), connections_url: "http://127.0.0.1:2".to_owned() }
}

fn parse(source: &str) -> Result<Template, Error> {
    Template::parse(source, &around(), &BTreeMap::new())
}

fn parse_with(source: &str, name: &str, value: &str) -> Result<Template, Error> {
    Template::parse(source, &around(), &BTreeMap::from([(name.to_owned(), value.to_owned())]))
}

fn error(source: &str) -> (usize, String) {
    let error = parse(source).unwrap_err();
    (error.line, error.message)
}

const SMALL: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Prefix:
    Type: String
    Default: local
Conditions:
  Never: !Equals [!Ref Prefix, other]
Globals:
  Function:
    Runtime: provided.al2023
    Handler: bootstrap
    Timeout: 20
    Environment:
      Variables:
        GLOBAL: global
        BOTH: global
Resources:
  WorkQueue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 120
      RedrivePolicy:
        deadLetterTargetArn: !GetAtt DeadQueue.Arn
        maxReceiveCount: 5
  DeadQueue:
    Type: AWS::SQS::Queue
  Ignored:
    Type: AWS::Logs::LogGroup
    Properties:
      Anything: !Whatever goes
  Unmade:
    Type: AWS::Unknown::Thing
    Condition: Never
  DoWorkFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/worker
      MemorySize: 512
      Environment:
        Variables:
          BOTH: own
          QUEUE: !Ref WorkQueue
          NAME: !Sub "${Prefix}-${WorkQueue.QueueName}"
          MAYBE: !If [Never, "yes", !Ref "AWS::NoValue"]
          AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: !Sub "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live"
      Events:
        Work:
          Type: SQS
          Properties:
            Queue: !GetAtt WorkQueue.Arn
            BatchSize: 5
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: 7}
        Tick:
          Type: Schedule
          Properties:
            Schedule: rate(1 minute)
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: socket
      ProtocolType: WEBSOCKET
      RouteSelectionExpression: $request.body.type
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${DoWorkFunction.Arn}/invocations"
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: $connect
      Target: !Sub "integrations/${Integration}"
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties:
      ApiId: !Ref Api
      StageName: live
      AutoDeploy: true
"#;

#[test]
fn globals_references_and_conditions_come_together() {
    let template = parse(SMALL).unwrap();
    let function = &template.functions[0];
    assert_eq!(function.name, "do-work");
    assert_eq!(function.executable, "worker");
    assert_eq!(function.timeout, Duration::from_secs(20));
    assert_eq!(function.memory_mib, 512);
    let variable = |name: &str| function.environment.get(name).map(String::as_str);
    assert_eq!(variable("GLOBAL"), Some("global"));
    assert_eq!(variable("BOTH"), Some("own"));
    assert_eq!(variable("QUEUE"), Some("http://127.0.0.1:1/000000000000/WorkQueue"));
    assert_eq!(variable("NAME"), Some("local-WorkQueue"));
    assert_eq!(variable("MAYBE"), None);
    assert_eq!(variable("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"), Some("http://127.0.0.1:2/live"));
}

#[test]
fn events_become_mappings_and_schedules() {
    let template = parse(SMALL).unwrap();
    let function = &template.functions[0];
    let mapping = &function.mappings[0];
    assert_eq!(mapping.queue, "WorkQueue");
    assert_eq!((mapping.batch_size, mapping.maximum_concurrency), (5, Some(7)));
    assert!(mapping.reports_failures);
    assert_eq!(function.schedules[0].expression, crate::schedule::Expression::Rate(60));
}

#[test]
fn a_queue_keeps_its_redrive_policy() {
    let template = parse(SMALL).unwrap();
    let queue = &template.queues[0];
    assert_eq!(queue.visibility, Duration::from_secs(120));
    let policy: serde_json::Value = serde_json::from_str(&queue.attributes["RedrivePolicy"]).unwrap();
    assert_eq!(policy["deadLetterTargetArn"], "arn:aws:sqs:us-east-1:000000000000:DeadQueue");
    assert_eq!(policy["maxReceiveCount"], 5);
}

#[test]
fn the_socket_has_its_routes_and_its_stage() {
    let socket = parse(SMALL).unwrap().socket.unwrap();
    assert_eq!(socket.stage, "live");
    assert_eq!(socket.selection, ["type"]);
    assert_eq!(socket.function("$connect"), Some("do-work"));
    assert_eq!(socket.function("$default"), None);
}

/// Replaces a line of the small template, and expects to be told off for that line.
fn told_off(line: &str, replacement: &str) -> String {
    assert_eq!(SMALL.lines().filter(|other| *other == line).count(), 1, "{line}");
    let at = SMALL.lines().position(|other| other == line).unwrap() + 1;
    let (told, message) = error(&SMALL.replace(&format!("{line}\n"), &format!("{replacement}\n")));
    assert_eq!(told, at, "{message}");
    message
}

#[test]
fn what_is_not_known_is_an_error_on_its_line() {
    assert_eq!(
        told_off("    Type: AWS::Logs::LogGroup", "    Type: AWS::Lambda::EventInvokeConfig"),
        "the local stack does not know AWS::Lambda::EventInvokeConfig"
    );
    assert_eq!(
        told_off("      MemorySize: 512", "      SnapStart: {ApplyOn: PublishedVersions}"),
        "the local stack does not know `SnapStart` of a function"
    );
    assert_eq!(
        told_off("          Type: Schedule", "          Type: S3"),
        "the local stack does not know events of type S3"
    );
    assert_eq!(
        told_off("          QUEUE: !Ref WorkQueue", "          QUEUE: !ImportValue somewhere"),
        "the local stack does not understand !ImportValue"
    );
}

#[test]
fn globals_are_those_of_functions() {
    let (line, message) = error(&SMALL.replace("Globals:\n", "Globals:\n  Api: {}\n"));
    let globals = SMALL.lines().position(|line| line == "Globals:").unwrap() + 1;
    assert_eq!((line, message.as_str()), (globals + 1, "the local stack does not know `Api` of Globals"));
}

#[test]
fn what_cannot_be_is_an_error_on_its_line() {
    told_off("          QUEUE: !Ref WorkQueue", "          QUEUE: !Ref OtherQueue");
    told_off("      VisibilityTimeout: 120", "      VisibilityTimeout: long");
    told_off("            Schedule: rate(1 minute)", "            Schedule: rate(1 minutes)");
    told_off("      Target: !Sub \"integrations/${Integration}\"", "      RouteKey: $connect");
    told_off("      RouteSelectionExpression: $request.body.type", "      RouteSelectionExpression: $context.routeKey");
    told_off("      AutoDeploy: true", "      AutoDeploy: true: false");
}

#[test]
fn a_parameter_without_a_default_cannot_be_run() {
    let (line, message) = error("Parameters:\n  Size:\n    Type: Number\nResources: {}\n");
    assert_eq!((line, message.as_str()), (2, "the parameter `Size` has no default to run with"));
}

#[test]
fn a_queue_hides_messages_for_longer_than_the_function_takes() {
    let (_, message) = error(&SMALL.replace("VisibilityTimeout: 120", "VisibilityTimeout: 10"));
    assert!(message.contains("visibility timeout"), "{message}");
}

#[test]
fn functions_are_named_after_their_ids() {
    assert_eq!(short_name("PushIntakeFunction"), "push-intake");
    assert_eq!(short_name("DeliverWsFunction"), "deliver-ws");
}

const DEPLOYED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml"));

#[test]
fn the_template_that_is_deployed_is_understood() {
    let template = parse(DEPLOYED).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(template.tables.len(), 3);
    assert!(template.tables.iter().all(|table| table.ttl.as_deref() == Some("expires_at")));
    assert!(template.http.is_some());
    let socket = template.socket.unwrap();
    for route in ["$connect", "$disconnect", "$default"] {
        assert_eq!(socket.function(route), Some("connection"));
    }
    for function in &template.functions {
        for mapping in &function.mappings {
            assert!(mapping.reports_failures, "{}: one failure would repeat its whole batch", function.name);
            assert!(mapping.maximum_concurrency.is_some(), "{}", function.name);
            let queue = template.queues.iter().find(|queue| queue.name == mapping.queue).unwrap();
            assert!(queue.visibility >= 6 * function.timeout, "{}: six times its timeout, as AWS asks", queue.id);
            let redrive: serde_json::Value = serde_json::from_str(&queue.attributes["RedrivePolicy"]).unwrap();
            assert!(redrive["maxReceiveCount"].as_u64() >= Some(5), "{}", queue.id);
        }
    }
}

#[test]
fn a_parameter_has_its_default_or_what_it_is_set_to() {
    let name = |template: Template| template.functions[0].environment["NAME"].clone();
    assert_eq!(name(parse(SMALL).unwrap()), "local-WorkQueue");
    assert_eq!(name(parse_with(SMALL, "Prefix", "mine").unwrap()), "mine-WorkQueue");
    let refused = |name, value| parse_with(DEPLOYED, name, value).unwrap_err().message;
    assert_eq!(refused("Nobody", "1"), "there is no parameter `Nobody` to set");
    for wrong in ["", "many", "0", "-1", "+1", "07", "7000.5", "7e3", " 7000", "7000\n", "1000000"] {
        let message = refused("SocketPostsPerSecond", wrong);
        assert_eq!(message, format!("the parameter `SocketPostsPerSecond` cannot be `{wrong}`"));
    }
    for right in ["1", "7000", "999999"] {
        assert!(parse_with(DEPLOYED, "SocketPostsPerSecond", right).is_ok(), "{right}");
    }
    assert_eq!(refused("StageName", "a/b"), "the parameter `StageName` cannot be `a/b`");
}

#[test]
fn a_number_is_one_within_its_bounds_and_a_text_matches_all_of_its_pattern() {
    let sized = |rest: &str, value: &str| {
        let source = format!("Parameters:\n  Size:\n    Default: 2\n    {rest}\nResources: {{}}\n");
        parse_with(&source, "Size", value).map(drop).map_err(|error| error.message)
    };
    let number = "Type: Number\n    MinValue: 1\n    MaxValue: 10";
    let text = "Type: String\n    AllowedPattern: \"[0-9]|ab\"";
    for (rest, fit, unfit) in
        [(number, ["1", "2.5", "10"], ["0", "10.5", "a"]), (text, ["2", "7", "ab"], ["77", "cab", ""])]
    {
        fit.iter().for_each(|value| assert_eq!(sized(rest, value), Ok(())));
        for value in unfit {
            assert_eq!(sized(rest, value), Err(format!("the parameter `Size` cannot be `{value}`")));
        }
    }
    let none = "Type: String\n    AllowedPattern: \"(\"";
    assert_eq!(sized(none, "2"), Err("the pattern of the parameter `Size` is none".to_owned()));
}

#[test]
fn the_functions_that_pace_know_the_rate_of_sockets_and_its_default_is_the_channels() {
    let rates = |template: Template, function: &str| {
        let function = template.functions.into_iter().find(|one| one.name == function).unwrap();
        let rates = Rates::from_lookup(&|name: &str| function.environment.get(name).cloned()).unwrap();
        rates.granted(&serde_json::from_value(json!({"id": "app"})).unwrap(), Channel::Ws)
    };
    let pacing = Channel::ALL.iter().map(|channel| format!("deliver-{channel}")).chain(["fan-out".to_owned()]);
    for function in pacing {
        assert_eq!(rates(parse(DEPLOYED).unwrap(), &function), traits(Channel::Ws).default_rate);
        assert_eq!(rates(parse_with(DEPLOYED, "SocketPostsPerSecond", "50").unwrap(), &function), 50);
    }
}

/// The properties of the resources of one kind in the template that is deployed.
fn deployed(kind: &str) -> Vec<Json> {
    let (root, around) = (Node::parse(DEPLOYED).unwrap(), around());
    let scope = scope(&root, &around, &BTreeMap::new()).unwrap();
    let resources = section(&root, "Resources").unwrap().iter().map(|(_, node)| scope.json(node).unwrap());
    resources.filter(|resource| resource["Type"] == kind).map(|resource| resource["Properties"].clone()).collect()
}

#[test]
fn every_channel_that_may_be_stopped_has_an_alarm_on_what_its_function_counts() {
    let mut watched: Vec<String> = deployed("AWS::CloudWatch::Alarm")
        .iter()
        .filter(|alarm| alarm["MetricName"] == json!(MetricName::Stopped))
        .map(|alarm| {
            assert_eq!(alarm["Namespace"], STACK, "{alarm}");
            assert_eq!((&alarm["Statistic"], &alarm["Threshold"]), (&json!("Sum"), &json!(0)), "{alarm}");
            let dimensions = alarm["Dimensions"].as_array().unwrap();
            assert_eq!((dimensions.len(), &dimensions[0]["Name"]), (1, &json!("Channel")), "{alarm}");
            dimensions[0]["Value"].as_str().unwrap().to_owned()
        })
        .collect();
    let functions = parse(DEPLOYED).unwrap().functions;
    let mut counting: Vec<String> = functions
        .iter()
        .filter(|function| function.environment.get("FANFARE_METRICS_NAMESPACE").is_some_and(|name| name == STACK))
        .filter_map(|function| function.environment.get("FANFARE_CHANNEL").cloned())
        .collect();
    let mut channels: Vec<String> = Channel::ALL.iter().map(ToString::to_string).collect();
    for names in [&mut watched, &mut counting, &mut channels] {
        names.sort_unstable();
    }
    assert_eq!(counting, channels);
    channels.retain(|channel| channel != Channel::Ws.name());
    assert_eq!(watched, channels);
}

#[test]
fn the_dashboard_shows_every_metric() {
    let [dashboard] = deployed("AWS::CloudWatch::Dashboard").try_into().unwrap();
    let body: Json = serde_json::from_str(dashboard["DashboardBody"].as_str().unwrap()).unwrap();
    let shown = body["widgets"].as_array().unwrap().iter().map(|widget| {
        let properties = &widget["properties"];
        let title = properties["title"].as_str().unwrap();
        let search = format!("SEARCH('{{\"{STACK}\",Channel}} MetricName=\"{title}\"', 'Sum', 300)");
        assert_eq!(properties["metrics"], json!([[{"expression": search}]]));
        json!(title)
    });
    assert_eq!(shown.collect::<Vec<_>>(), MetricName::ALL.map(|name| json!(name)));
}
