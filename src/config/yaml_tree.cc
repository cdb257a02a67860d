#include "config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>

namespace waypost::config {
namespace {

constexpr std::size_t kMaxNodes = 500'000;
constexpr unsigned kMaxDepth = 40;

Place place_of(const YAML::Mark& mark, Place otherwise) {
  if (mark.is_null() || mark.line < 0) return otherwise;
  return Place{static_cast<std::uint32_t>(mark.line) + 1,
               static_cast<std::uint32_t>(mark.column) + 1};
}

class Builder {
 public:
  Builder(const std::string& file, std::vector<Diagnostic>& diagnostics)
      : file_(file), diagnostics_(diagnostics) {}

  /// False: the tree is too large or too deep, which was reported.
  bool build(const YAML::Node& node, Value& out, Place otherwise, unsigned depth) {
    out.place = place_of(node.Mark(), otherwise);
    if (++nodes_ > kMaxNodes || depth > kMaxDepth) {
      if (!too_large_)
        error(out.place, nodes_ > kMaxNodes
                             ? "the file is too large (aliases may multiply it); move the entries "
                               "of the routing table into a CSV file"
                             : "the file is nested too deeply");
      too_large_ = true;
      return false;
    }
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        out.kind = Value::Kind::scalar;
        out.text = node.Scalar();
        return true;
      case YAML::NodeType::Sequence:
        out.kind = Value::Kind::list;
        for (const auto& item : node)
          if (!build(item, out.items.emplace_back(), out.place, depth + 1)) return false;
        return true;
      case YAML::NodeType::Map:
        out.kind = Value::Kind::map;
        return build_map(node, out, depth);
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        break;
    }
    out.kind = Value::Kind::null;
    return true;
  }

 private:
  void error(Place place, std::string message) {
    diagnostics_.push_back(
        Diagnostic{Diagnostic::Level::error, file_, place.line, place.column, std::move(message)});
  }

  bool build_map(const YAML::Node& node, Value& out, unsigned depth) {
    std::vector<Value> merged;
    for (const auto& pair : node) {
      const auto place = place_of(pair.first.Mark(), out.place);
      if (!pair.first.IsScalar()) {
        error(place, "a key must be a word, not a list or a map");
        continue;
      }
      const auto& key = pair.first.Scalar();
      Value value;
      if (!build(pair.second, value, place, depth + 1)) return false;
      if (key == "<<") {
        merged.push_back(std::move(value));
        continue;
      }
      const auto known = std::find_if(out.members.begin(), out.members.end(),
                                      [&](const Member& member) { return member.key == key; });
      if (known != out.members.end()) {
        error(place, "key '" + key + "' is there twice, first in line " +
                         std::to_string(known->place.line) + "; remove one");
        continue;
      }
      out.members.push_back(Member{key, place, std::move(value)});
    }
    for (const auto& value : merged) merge(value, out);
    return true;
  }

  // https://yaml.org/type/merge.html: what is there already wins.
  void merge(const Value& source, Value& out) {
    if (source.kind == Value::Kind::list) {
      for (const auto& item : source.items) merge(item, out);
      return;
    }
    if (source.kind != Value::Kind::map)
      return error(source.place, "'<<' merges maps; give it an alias such as *defaults");
    for (const auto& member : source.members) {
      const bool there = std::any_of(out.members.begin(), out.members.end(),
                                     [&](const Member& known) { return known.key == member.key; });
      if (!there) out.members.push_back(member);
    }
  }

  const std::string& file_;
  std::vector<Diagnostic>& diagnostics_;
  std::size_t nodes_ = 0;
  bool too_large_ = false;
};

/// Tabs look like spaces and break the indentation.
std::optional<Place> first_tab_in_indentation(std::string_view yaml) {
  Place place{1, 1};
  bool indentation = true;
  for (const char c : yaml) {
    if (c == '\t' && indentation) return place;
    indentation = c == '\n' || (indentation && c == ' ');
    ++place.column;
    if (c == '\n') place = Place{place.line + 1, 1};
  }
  return std::nullopt;
}

/// yaml-cpp's words for the mistakes that people make, in other people's words.
std::string explain(const std::string& words) {
  if (words.find("end of map not found") != std::string::npos)
    return words + "; check the indentation: keys of one section begin in the same column";
  if (words.find("illegal map value") != std::string::npos)
    return words +
           "; a value that holds ': ' must stand in quotation marks, and a section's keys "
           "go on lines of their own";
  if (words.find("end of sequence") != std::string::npos)
    return words + "; check the brackets and the indentation of the list here and above";
  return words + "; check indentation, quotation marks and brackets here and in the line above";
}

}  // namespace

std::string_view Value::kind_name() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return "a single value";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a section";
  }
  return "something";
}

namespace {

/// Notes where a document begins, and nothing else.
class DocumentStart final : public YAML::EventHandler {
 public:
  YAML::Mark mark;
  void OnDocumentStart(const YAML::Mark& at) override { mark = at; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// Where a second document begins, if there is one. YAML::LoadAll never returns for some broken
/// texts (a ',' where a document should begin), so at most two documents are looked at.
std::optional<YAML::Mark> second_document(const std::string& yaml) {
  std::istringstream in(yaml);
  YAML::Parser parser(in);
  DocumentStart start;
  if (!parser.HandleNextDocument(start) || !parser.HandleNextDocument(start)) return std::nullopt;
  return start.mark;
}

}  // namespace

std::optional<Value> read_yaml(std::string_view yaml, const std::string& file,
                               std::vector<Diagnostic>& diagnostics) {
  const auto complain = [&](Place place, std::string message) {
    diagnostics.push_back(
        Diagnostic{Diagnostic::Level::error, file, place.line, place.column, std::move(message)});
    return std::nullopt;
  };
  try {
    const std::string text(yaml);
    const auto second = second_document(text);
    const YAML::Node document = YAML::Load(text);
    Value root;
    root.place = Place{1, 1};
    root.kind = Value::Kind::map;
    if (second)
      return complain(place_of(*second, Place{1, 1}),
                      "the file holds more than one YAML document, or something here that is no "
                      "YAML; remove the '---' line or what stands here");
    if (document.IsNull()) return root;
    if (!Builder(file, diagnostics).build(document, root, Place{1, 1}, 0)) return std::nullopt;
    return root;
  } catch (const YAML::Exception& exception) {
    if (const auto tab = first_tab_in_indentation(yaml))
      return complain(*tab,
                      "a tab in the indentation; YAML wants spaces: replace it with two spaces");
    return complain(place_of(exception.mark, Place{1, 1}),
                    "this is not valid YAML: " + explain(exception.msg));
  } catch (const std::exception& exception) {
    return complain(Place{1, 1}, "this is not valid YAML: " + std::string(exception.what()));
  }
}

}  // namespace waypost::config
