//! Of documents, what clients read: two that say the same are equal, whatever their definitions are called and
//! however they are worded.

use super::json::Json;

/// Without meaning for a client that checks or shows an object, or named after the server's own types.
const LEFT_OUT: [&str; 4] = [
    "description",
    "title",
    "example",
    "x-kubernetes-group-version-kind",
];

/// An answer with its body as it is compared. Of an OpenAPI document (v2 or v3), each operation's action, kind,
/// parameters, media types, response codes and the schema of its body with references resolved; an
/// APIResourceList in the order of names; any other answer as it is.
#[must_use]
pub fn comparable(answer: &Json) -> Json {
    let Some(document) = answer.get("body").and_then(|it| it.get("json")) else {
        return answer.clone();
    };
    let body = if document.get("kind").and_then(Json::as_text) == Some("APIResourceList") {
        in_order_of_names(document)
    } else if is_openapi(document) {
        Json::object([("paths", View { document }.paths())])
    } else {
        return answer.clone();
    };
    let mut answer = answer.clone();
    answer.set("body", Json::object([("json", body)]));
    answer
}

fn is_openapi(document: &Json) -> bool {
    let has = |key: &str| document.get(key).is_some();
    has("paths") && (has("openapi") || has("swagger"))
}

fn in_order_of_names(list: &Json) -> Json {
    let name = |it: &Json| it.get("name").and_then(Json::as_text).map(str::to_owned);
    let mut resources = list.get("resources").map_or(&[][..], Json::items).to_vec();
    resources.sort_by_key(name);
    let mut list = list.clone();
    list.set("resources", Json::List(resources));
    list
}

struct View<'a> {
    document: &'a Json,
}

impl View<'_> {
    fn paths(&self) -> Json {
        let paths = self.document.get("paths").map_or(&[][..], Json::fields);
        let paths = paths
            .iter()
            .filter(|(path, _)| path.matches('/').count() >= 4 && path.starts_with("/apis/"))
            .map(|(path, item)| (path.clone(), self.path_item(item)));
        Json::Object(paths.collect())
    }

    fn path_item(&self, item: &Json) -> Json {
        let shared = item.get("parameters").map_or(&[][..], Json::items);
        let methods = item.fields().iter().filter(|(key, _)| key != "parameters");
        let methods = methods.map(|(method, it)| (method.clone(), self.operation(it, shared)));
        Json::Object(methods.collect())
    }

    fn operation(&self, operation: &Json, shared: &[Json]) -> Json {
        let field = |key: &str| operation.get(key).cloned().unwrap_or(Json::Null);
        let own = operation.get("parameters").map_or(&[][..], Json::items);
        let parameters: Vec<_> = shared
            .iter()
            .chain(own)
            .map(|it| self.resolve(it))
            .collect();
        let (bodies, parameters): (Vec<_>, Vec<_>) =
            parameters.iter().partition(|it| text(it, "in") == "body");
        let mut body = bodies.first().and_then(|it| it.get("schema")).cloned();
        let mut consumes = texts(operation.get("consumes"));
        if let Some(request) = operation.get("requestBody") {
            let request = self.resolve(request);
            let content = request.get("content").map_or(&[][..], Json::fields);
            if let Some((_, first)) = content.first() {
                body = first.get("schema").cloned();
                consumes = content
                    .iter()
                    .map(|(media_type, _)| media_type.clone())
                    .collect();
            }
        }
        let named = |it: &&Json| format!("{}:{}", text(it, "in"), text(it, "name"));
        let responses = operation.get("responses").map_or(&[][..], Json::fields);
        Json::object([
            ("action", field("x-kubernetes-action")),
            ("kind", field("x-kubernetes-group-version-kind")),
            (
                "parameters",
                Json::sorted(parameters.iter().map(named).collect()),
            ),
            ("consumes", Json::sorted(consumes)),
            (
                "responses",
                Json::sorted(responses.iter().map(|(code, _)| code.clone()).collect()),
            ),
            ("body", body.unwrap_or(Json::Null)),
        ])
    }

    fn resolve(&self, node: &Json) -> Json {
        self.resolve_below(node, &mut Vec::new())
    }

    /// References, and `allOf` of one schema, become what they stand for; one that leads back to itself says so.
    fn resolve_below(&self, node: &Json, seen: &mut Vec<String>) -> Json {
        if let Json::List(items) = node {
            return Json::List(
                items
                    .iter()
                    .map(|it| self.resolve_below(it, seen))
                    .collect(),
            );
        }
        let Json::Object(fields) = node else {
            return node.clone();
        };
        if let Some(Json::Text(name)) = node.get("$ref") {
            if seen.contains(name) {
                return Json::object([("recursive", Json::Bool(true))]);
            }
            let nothing = Json::Object(Vec::new());
            let target = self.document.at(name.trim_start_matches('#'));
            let whole = merged(target.unwrap_or(&nothing), fields, "$ref");
            seen.push(name.clone());
            let resolved = self.resolve_below(&whole, seen);
            seen.pop();
            return resolved;
        }
        if let Some([only]) = node.get("allOf").map(Json::items) {
            return self.resolve_below(&merged(only, fields, "allOf"), seen);
        }
        let kept = fields
            .iter()
            .filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()));
        Json::Object(
            kept.map(|(key, it)| (key.clone(), self.resolve_below(it, seen)))
                .collect(),
        )
    }
}

/// `base` with the fields of `over`, but one.
fn merged(base: &Json, over: &[(String, Json)], but: &str) -> Json {
    let mut out = base.clone();
    for (key, value) in over.iter().filter(|(key, _)| key != but) {
        out.set(key, value.clone());
    }
    out
}

fn text<'a>(object: &'a Json, key: &str) -> &'a str {
    object.get(key).and_then(Json::as_text).unwrap_or("")
}

fn texts(list: Option<&Json>) -> Vec<String> {
    let items = list.map_or(&[][..], Json::items).iter();
    items
        .filter_map(|it| it.as_text().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_operation_is_equal_in_other_words_and_under_other_names() -> serde_json::Result<()>
    {
        let answer = |name: &str, words: &str| {
            let text = format!(
                r##"{{"status": 200, "body": {{"json": {{"openapi": "3.0.0", "paths": {{
                    "/apis/g/": {{"get": {{}}}},
                    "/apis/g/v1/things": {{
                        "parameters": [{{"in": "query", "name": "pretty", "description": "{words}"}}],
                        "post": {{
                            "description": "{words}",
                            "parameters": [{{"in": "query", "name": "dryRun"}}],
                            "requestBody": {{"content": {{"*/*": {{"schema": {{"$ref": "#/components/schemas/{name}"}}}}}}}},
                            "responses": {{"201": {{}}, "200": {{}}}},
                            "x-kubernetes-action": "post"}}}}}},
                    "components": {{"schemas": {{"{name}": {{"type": "object", "properties": {{
                        "next": {{"allOf": [{{"$ref": "#/components/schemas/{name}"}}], "default": {{}}}}}}}}}}}}}}}}}}"##
            );
            Json::read(&text).map(|it| comparable(&it))
        };
        let one = answer("io.Thing", "A thing.")?;
        assert_eq!(one, answer("Thing", "Things.")?);
        assert_eq!(
            one.to_string(),
            r#"{"status":200,"body":{"json":{"paths":{"/apis/g/v1/things":{"post":{"action":"post","kind":null,"parameters":["query:dryRun","query:pretty"],"consumes":["*/*"],"responses":["200","201"],"body":{"type":"object","properties":{"next":{"recursive":true}}}}}}}}}"#
        );
        Ok(())
    }

    #[test]
    fn resources_are_compared_by_their_names() -> serde_json::Result<()> {
        let answer = Json::read(
            r#"{"body": {"json": {"kind": "APIResourceList", "resources": [{"name": "b"}, {"name": "a"}]}}}"#,
        )?;
        assert_eq!(
            comparable(&answer).to_string(),
            r#"{"body":{"json":{"kind":"APIResourceList","resources":[{"name":"a"},{"name":"b"}]}}}"#
        );
        Ok(())
    }
}
