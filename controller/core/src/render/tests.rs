//! What a commit's files become, and the sentences that refuse them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::error::amount;
use super::*;

fn file(path: &str, text: impl Into<Vec<u8>>) -> SourceFile {
    SourceFile { path: path.into(), bytes: text.into() }
}

fn rendered(text: &str) -> Vec<Object> {
    render(&[file("a.yaml", text)], &Limits::default())
        .unwrap_or_else(|errors| panic!("{text}\n{}", sentences(&errors).join("\n")))
}

fn sentences(errors: &[RenderError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// The sentences that refuse a file.
fn refused(text: impl Into<Vec<u8>>) -> Vec<String> {
    sentences(&render(&[file("deploy/web.yaml", text)], &Limits::default()).expect_err("refused"))
}

fn refused_once(text: impl Into<Vec<u8>>) -> String {
    let mut all = refused(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The value of `data` in a ConfigMap with that text under `data:`.
fn data(text: &str) -> Value {
    rendered(&format!("{HEAD}data:\n{text}")).remove(0).json()["data"].clone()
}

const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

fn places(objects: &[Object]) -> Vec<(String, usize)> {
    objects.iter().map(|o| (o.name().to_owned(), o.origin.as_ref().expect("an origin").line)).collect()
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

#[test]
fn documents_are_split_and_know_their_lines() {
    let text = format!("# first\n---\n{}---\n\n# a comment only\n---\n---\n{}...\n", config_map("a"), config_map("b"));
    assert_eq!(places(&rendered(&text)), [("a".into(), 3), ("b".into(), 12)]);
    assert_eq!(rendered(""), []);
    assert_eq!(rendered("---\n# nothing\n---\n~\n"), []);
}

#[test]
fn a_separator_inside_a_block_of_text_is_text() {
    let text = format!("{HEAD}data:\n  script: |\n    one\n    ---\n    two\n---\n{}", config_map("b"));
    let objects = rendered(&text);
    assert_eq!(objects[0].json()["data"]["script"], json!("one\n---\ntwo\n"));
    assert_eq!(places(&objects), [("a".into(), 1), ("b".into(), 10)]);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let plain = format!("{}---\n{}", config_map("a"), config_map("b"));
    let windows = format!("\u{feff}{}", plain.replace('\n', "\r\n"));
    assert_eq!(rendered(&plain), rendered(&windows));
    let block = format!("{HEAD}data:\n  x: |\n    one\n    two\n");
    assert_eq!(rendered(&block)[0].json()["data"]["x"], rendered(&block.replace('\n', "\r\n"))[0].json()["data"]["x"]);
}

#[test]
fn json_is_read_too_with_tabs_and_escapes() {
    let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\":\"ConfigMap\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\"data\": \
                {\"x\": \"\\u00e9\\/\\ud83d\\ude00\\n\", \"n\": 1.5e3, \"t\": true, \"o\": null}\n}\n";
    let objects = render(&[file("a.json", text)], &Limits::default()).expect("valid");
    assert_eq!(objects[0].json()["data"], json!({"x": "é/😀\n", "n": 1500, "t": true, "o": null}));
}

#[test]
fn lists_are_flattened_and_each_item_keeps_its_line() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: a\n\
                - apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
    assert_eq!(places(&rendered(text)), [("a".into(), 4), ("b".into(), 8)]);

    let typed = rendered("apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n");
    assert_eq!((typed[0].api_version(), typed[0].kind()), ("v1", "ConfigMap"));

    assert_eq!(rendered("apiVersion: v1\nkind: List\nitems: []\n"), []);
    let named = rendered("apiVersion: example.org/v1\nkind: AllowList\nmetadata: {name: a}\nitems: [1]\n");
    assert_eq!(named[0].kind(), "AllowList");
}

#[test]
fn anchors_aliases_and_merges() {
    let given = "  base: &base {a: 1, b: 2}\n  copy: *base\n  more:\n    b: 3\n    <<: *base\n  many:\n    <<: [{c: 1}, {c: 2, d: 4}]\n";
    assert_eq!(
        data(given),
        json!({
            "base": {"a": 1, "b": 2}, "copy": {"a": 1, "b": 2}, "more": {"a": 1, "b": 3}, "many": {"c": 1, "d": 4},
        })
    );
    assert_eq!(data("  \"<<\": {a: 1}\n"), json!({"<<": {"a": 1}}), "a quoted key is no merge");
}

#[test]
fn keys_that_are_not_text_become_text() {
    assert_eq!(data("  1: a\n  true: b\n  0x10: c\n"), json!({"1": "a", "true": "b", "16": "c"}));
}

#[test]
fn an_error_of_syntax_names_file_line_and_what_to_look_at() {
    let text = format!("{}---\n{HEAD}data:\n  url: host: 8080\n", config_map("a"));
    let sentence = refused_once(text);
    assert!(sentence.starts_with("deploy/web.yaml:10: "), "{sentence}");
    assert!(sentence.contains("quotes") && !sentence.contains('\n'), "{sentence}");
}

#[test]
fn every_document_and_every_file_tells_its_errors() {
    let text = "a: [1, 2\n---\nkind: ConfigMap\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n";
    let all = sentences(
        &render(&[file("one.yaml", text), file("two.yaml", "apiVersion: v1\n")], &Limits::default())
            .expect_err("refused"),
    );
    let begins: Vec<&str> = all.iter().map(|s| s.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(begins[1..], ["one.yaml:3", "one.yaml:5", "two.yaml:1"], "{all:?}");
    assert!(all[1].contains("apiVersion is missing"), "{}", all[1]);
    assert!(all[2].contains("ConfigMap has metadata.generateName and no name"), "{}", all[2]);
    assert!(all[3].contains("kind is missing"), "{}", all[3]);
}

#[test]
fn errors_are_bounded() {
    let text = "a: 1\n---\n".repeat(100);
    assert_eq!(refused(text).len(), MAX_ERRORS);
}

#[test]
fn what_no_two_programs_read_alike_is_refused() {
    let cases = [
        ("x: 1\n  y: 2\n  x: 3\n", "`x` is written twice in this mapping, first in line 5"),
        ("1: a\n  \"1\": b\n", "`1` is written twice"),
        ("<<: {a: 1}\n  <<: {b: 1}\n", "`<<` is written twice"),
        ("<<: 1\n", "`<<` merges a mapping"),
        ("~: a\n", "`null` cannot be a key"),
        ("x: {{ .Values.x }}\n", "a mapping or a list cannot be a key"),
        ("? [a]\n  : b\n", "a mapping or a list cannot be a key"),
        ("x: .inf\n", "`.inf` is a number that JSON does not have"),
        ("x: !!int a\n", "`a` is not what its tag !!int says"),
        ("x: *missing\n", "anchor"),
        ("x: &x [*x]\n", "no value can contain itself"),
        ("x: @a\n", "quotes"),
        ("x: \"a\n", "quotes"),
    ];
    for (text, expected) in cases {
        let sentence = refused_once(format!("{HEAD}data:\n  {text}"));
        assert!(sentence.contains(expected) && !sentence.contains('\n'), "{text}: {sentence}");
    }
    let tab = refused_once(format!("{HEAD}data:\n\tx: 1\n"));
    assert!(tab.starts_with("deploy/web.yaml:5: ") && tab.contains("spaces"), "{tab}");
}

#[test]
fn labels_and_annotations_must_be_text() {
    let sentence = refused_once("apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {x: yes}}\n");
    assert!(sentence.contains("metadata.annotations.x of Service a is a boolean"), "{sentence}");
}

#[test]
fn the_text_of_a_secret_becomes_data_and_must_be_text() {
    let secret = |text: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{{text}}}\n");
    let rendered = rendered(&secret("plain: hunter2"));
    assert_eq!(
        Value::Object(rendered[0].json().clone()),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"plain": "aHVudGVyMg=="}})
    );
    let sentence = refused_once(secret("port: 5432"));
    assert_eq!(
        sentence,
        "deploy/web.yaml:1: stringData.port of Secret a is a number, and must be text: put the value in quotes"
    );
}

#[test]
fn what_cannot_be_built_here_says_so() {
    let kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [web.yaml]\n";
    assert!(refused_once(kustomization).contains("kustomize build"));
    let bare =
        render(&[file("x/kustomization.yaml", "resources: [web.yaml]\n")], &Limits::default()).expect_err("refused");
    assert!(bare[0].to_string().contains("kustomize build"));
    let chart = render(&[file("Chart.yaml", "apiVersion: v2\nname: a\n")], &Limits::default()).expect_err("refused");
    assert!(chart[0].to_string().contains("helm template"));
    let sops =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {x: \"ENC[AES256_GCM]\"}\nsops: {mac: \"ENC[x]\"}\n";
    assert!(refused_once(sops).contains("encrypted with SOPS"));
}

#[test]
fn an_object_is_defined_once_and_both_places_are_told() {
    let files = [file("a.yaml", config_map("x")), file("b.yaml", format!("---\n{}", config_map("x")))];
    let errors = sentences(&render(&files, &Limits::default()).expect_err("twice"));
    assert_eq!(errors, ["b.yaml:2: ConfigMap x is already defined in a.yaml:1: remove one of the two"]);
}

#[test]
fn text_that_is_not_utf_8_is_refused_at_its_line() {
    let sentence = refused_once(b"a: 1\nb: \xff\n".to_vec());
    assert!(sentence.starts_with("deploy/web.yaml:2: the file is not UTF-8"), "{sentence}");
}

#[test]
fn limits_hold() {
    let small = Limits { documents: 2, depth: 8, alias_bytes: 2000, values: 100, ..Limits::default() };
    let with = |text: String| sentences(&render(&[file("a.yaml", text)], &small).expect_err("refused"));
    assert!(
        with(format!("{}---\n{}---\n{}", config_map("a"), config_map("b"), config_map("c")))[0].contains("more than 2")
    );
    assert!(with(format!("{}{}", "[".repeat(9), "]".repeat(9)))[0].contains("nested more than 8 deep"));
    assert!(with(format!("{}x", "- ".repeat(9)))[0].contains("nested more than 8 deep"));
    assert!(with("a: &a [[[[1]]]]\nb: [[[[*a]]]]\n".into())[0].contains("nested more than 8 deep"), "through an alias");
}

#[test]
fn an_alias_bomb_is_refused_before_it_grows() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        let aliases = vec![alias; 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").expect("a String takes everything");
    }
    assert!(refused_once(bomb).contains("expand to more than 4194304 bytes"));

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1000].join(", "));
    assert!(refused_once(long).contains("expand to more than"), "one long text, many times");
}

#[test]
fn what_aliases_and_values_cost_is_counted_over_all_files() {
    let page = |n: usize| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{n}}}\nx: &a {}\ny: *a\n", "x".repeat(60_000))
    };
    let files: Vec<SourceFile> = (0..40).map(|n| file(&format!("{n}.yaml"), page(n))).collect();
    let errors = sentences(&render(&files, &Limits::default()).expect_err("many small bombs are a large one"));
    assert!(errors[0].contains("expand to more than 4194304 bytes"), "{}", errors[0]);
    assert!(render(&files[..30], &Limits::default()).is_ok());

    let empty = |n: usize| {
        file(&format!("{n}.yaml"), format!("{}x: [{}]\n", config_map(&format!("p{n}")), "{a},".repeat(50_000)))
    };
    let files: Vec<SourceFile> = (0..4).map(empty).collect();
    let errors = sentences(&render(&files, &Limits::default()).expect_err("too many"));
    assert!(errors[0].starts_with("1.yaml:5: the commit has more than 250000 values"), "{}", errors[0]);
}

#[test]
fn a_list_does_not_multiply_what_no_name_is_as_long_as() {
    let list = |kind: &str| format!("apiVersion: v1\nkind: {kind}List\nitems: [{{}}]\n");
    assert!(refused_once(list("Pod")).contains(":3: this is not a Kubernetes object: metadata.name"));
    assert!(refused_once(list(&"P".repeat(64))).contains(":1: this is not a Kubernetes object: metadata.name"));
}

#[test]
fn a_sentence_is_one_line_and_short_whatever_the_file_says() {
    let long = "x".repeat(5000);
    for text in [
        format!("{long}: 1\n{long}: 2\n"),
        "? \"a\\nb\"\n: 1\n\"a\\nb\": 2\n".to_owned(),
        format!("a: !!int {long}\n"),
        format!("apiVersion: v1\nkind: {long}\nmetadata: {{generateName: a}}\n"),
        format!(
            "apiVersion: v1\nkind: A\nmetadata: {{name: \"a\\n{long}\"}}\n---\napiVersion: v1\nkind: A\nmetadata: {{name: \"a\\n{long}\"}}\n"
        ),
        format!("apiVersion: v1\nkind: A\nmetadata: {{name: a, labels: {{{long}: 1}}}}\n"),
    ] {
        let sentence = refused_once(text);
        assert!(sentence.len() < 500 && !sentence.contains(char::is_control), "{sentence}");
    }
    let odd = render(&[file("a\nb.yaml", "x")], &Limits::default()).expect_err("refused");
    assert!(odd[0].to_string().starts_with("a?b.yaml:1: "), "{}", odd[0]);
}

#[test]
fn no_file_tells_more_errors_than_anybody_reads() {
    assert_eq!(refused("---\na: b: c\n".repeat(10_000)).len(), MAX_ERRORS);
    assert_eq!(refused(format!("kind: List\nitems: [{}]\n", "{},".repeat(10_000))).len(), MAX_ERRORS);
}

#[test]
fn an_amount_never_looks_smaller_than_a_limit_that_it_exceeds() {
    for (bytes, text) in [
        (1001, "1001 bytes"),
        (64 << 10, "64 KiB"),
        (1 << 20, "1 MiB"),
        ((1 << 20) + 1, "1.1 MiB"),
        (50 << 20, "50 MiB"),
    ] {
        assert_eq!(amount(bytes), text);
    }
}

#[test]
fn drover_s_own_kinds_are_checked_against_their_schemas() {
    let app = |spec: &str| {
        format!("---\napiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {{name: web}}\nspec: {spec}\n")
    };
    let ports = "ports: [{name: http, port: 8080}]";
    let said = |spec: &str| {
        let errors = render(&[file("web.yaml", app(spec))], &Limits::default()).err().unwrap_or_default();
        sentences(&errors).iter().map(|said| said.replace("web.yaml:2: spec", "")).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(said(&format!("{{image: a, {ports}}}")), "");
    assert_eq!(
        said(&format!("{{image: a, {ports}, doors: 2}}")),
        ".doors of WebApp web is not known to this drover: correct its name, or remove it"
    );
    assert_eq!(
        said("{image: a, ports: [{name: http, prot: 8080}]}"),
        ".ports[0].port of WebApp web is missing: write it; \
         .ports[0].prot of WebApp web is not known to this drover: correct its name, or remove it"
    );
    assert_eq!(
        said(&format!("{{{ports}, image: [a]}}")),
        ".image of WebApp web is a list, and must be text: put the value in quotes"
    );
    assert_eq!(
        said(&format!("{{image: a, {ports}, replicas: two}}")),
        ".replicas of WebApp web is text, and must be a whole number"
    );
    assert!(
        said(&format!("{{image: a, {ports}, imagePullPolicy: Often}}"))
            .contains("is `Often`, and must be one of Always, ")
    );
    assert!(said("{image: a, ports: [{name: http, port: 80800}]}").ends_with("is `80800`, and must be at most 65535"));
    assert!(
        said("{image: a, ports: [{name: HTTP, port: 80}]}")
            .contains(".ports[0].name of WebApp web is `HTTP`, and must match ")
    );
    let quoted = format!("{{image: a, {ports}, env: [{{name: PORT, value: 8080}}]}}");
    assert_eq!(said(&quoted), ".env[0].value of WebApp web is a number, and must be text: put the value in quotes");

    let specless = "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {name: web}\n";
    assert_eq!(refused_once(specless), "deploy/web.yaml:1: spec of WebApp web is missing: write it");
    for others in [specless.replace("v1alpha1", "v9"), specless.replace("drover.dev", "example.org")] {
        assert!(
            render(&[file("a.yaml", others)], &Limits::default()).is_ok(),
            "what this drover does not know it does not judge"
        );
    }
}

#[test]
fn only_manifests_are_read() {
    for path in ["web.yaml", "a/b/web.yml", "x.json"] {
        assert!(is_manifest(path), "{path}");
    }
    for path in ["README.md", ".github/workflows/ci.yaml", "a/.sops.yaml", "yaml", "web.yaml.tpl", ".yaml"] {
        assert!(!is_manifest(path), "{path}");
    }
}

proptest::proptest! {
    #[test]
    fn no_file_breaks_the_reader(bytes: Vec<u8>) {
        let _ = render(&[file("a.yaml", bytes)], &Limits::default());
    }

    #[test]
    fn no_text_of_yaml_signs_breaks_the_reader(text in "[ab:,\\-?&*!|>'\"%@`{}\\[\\]# \t\r\n<~0-9.]{0,60}") {
        for error in render(&[file("a.yaml", text.clone())], &Limits::default()).err().into_iter().flatten() {
            // YAML takes a lone carriage return for a line break too.
            let lines = text.matches(['\r', '\n']).count() + 1;
            proptest::prop_assert!((1..=lines).contains(&error.origin.line), "{error} in {text:?}");
            proptest::prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn json_in_is_json_out(data: std::collections::BTreeMap<String, String>) {
        let json = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
        let text = serde_json::to_string_pretty(&json).expect("JSON");
        let objects = render(&[file("a.json", text)], &Limits::default());
        let objects = objects.map_err(|errors| proptest::test_runner::TestCaseError::fail(sentences(&errors).join("; ")))?;
        proptest::prop_assert_eq!(Value::Object(objects[0].json().clone()), json);
    }
}

fn with_variables(text: &str, variables: &[(&str, &str)]) -> Result<Vec<Object>, Vec<String>> {
    let variables = Variables::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    render_with(&[file("web.yaml", text)], &Limits::default(), Some(&variables), None)
        .map_err(|errors| sentences(&errors))
}

fn holding(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{data}\n")
}

#[test]
fn variables_are_filled_into_values_and_a_plain_one_is_read_anew() {
    let text = holding(
        "  plain: ${N}\n  quoted: \"${N}\"\n  word: x-${N}\n  ${N}: key\n  on: ${ON}\n  block: |\n    a ${N}\n",
    );
    let objects = with_variables(&text, &[("N", "6"), ("ON", "yes")]).expect("valid");
    assert_eq!(
        objects[0].json()["data"],
        json!({"plain": 6, "quoted": "6", "word": "x-6", "${N}": "key", "true": true, "block": "a 6\n"})
    );
    let named = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"web-${N}\"}\n";
    assert_eq!(with_variables(named, &[("N", "6")]).expect("valid")[0].name(), "web-6");
    // Without variables nothing is a variable.
    let objects = render(&[file("a.yaml", holding("  a: ${N} $${N}"))], &Limits::default()).expect("valid");
    assert_eq!(objects[0].json()["data"], json!({"a": "${N} $${N}"}));
}

#[test]
fn no_value_of_a_variable_changes_the_structure() {
    for value in [
        "*a",
        "&a",
        "a: b",
        "a #b",
        "'",
        "\"",
        "x\nadmin: true\n---\nkind: Secret",
        "- a\n- b",
        "{a: b}",
        "[a]",
        "<<",
        "!!int 3",
    ] {
        for data in ["  a: ${V}\n  b: c", "  a: \"${V}\"\n  b: c", "  {a: '${V}', b: c}"] {
            let objects = with_variables(&holding(data), &[("V", value)]).expect(value);
            let [object] = &*objects else { panic!("{value}: {objects:?}") };
            assert_eq!(object.json()["data"], json!({"a": value, "b": "c"}), "{value}");
        }
    }
}

#[test]
fn each_document_says_what_it_lacks_and_what_is_not_meant_for_it_is_left_alone() {
    let one = holding("  a: ${MISSING}");
    let off = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: alone, annotations: {drover.dev/substitute: disabled}}\ndata: {a: \"${x^^} $${y}\"}\n";
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.example.org}\nspec: {group: \"${not a variable}\"}\n";
    let two = holding("  a: ${x^^}").replace("name: a", "name: b");
    let errors = with_variables(&[&one, off, definition, &two].join("---\n"), &[("N", "6")]).expect_err("two lack one");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with("web.yaml:5: ${MISSING} names no variable") && errors[0].contains("which has N"),
        "{errors:?}"
    );
    assert!(errors[1].starts_with("web.yaml:21: `${x^^}` is no variable"), "{errors:?}");
    let objects = with_variables(&[off, definition].join("---\n"), &[]).expect("they are left alone");
    assert_eq!(objects[0].json()["data"], json!({"a": "${x^^} $${y}"}));
    let errors = with_variables("a: [\n---\nb: ${N}\n", &[("N", "6")]).expect_err("one is no YAML");
    assert!(errors[0].starts_with("web.yaml:"), "{errors:?}");
}

#[test]
fn a_large_value_in_many_places_is_bounded() {
    let places: String = (0..40).map(|n| format!("  k{n}: \"${{V}}\"\n")).collect::<Vec<_>>().concat();
    let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{places}");
    let errors = with_variables(&text, &[("V", &"x".repeat(1 << 20))]).expect_err("too much");
    assert!(errors[0].contains("expand to more than"), "{errors:?}");
}
