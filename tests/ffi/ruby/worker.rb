# A worker program in Ruby: its blocks are tasks for the pools of other programs.

require_relative "cfutures"

Cfutures.task("reverse") { |text| text.force_encoding("UTF-8").reverse }
Cfutures.task("refuse") { |text| raise ArgumentError, "#{text} is not wanted" }
Cfutures.task("leave") { exit!(3) }
Cfutures.work
