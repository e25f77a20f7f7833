// The course as `pystack course` serves it.
import "./course.css";
import { startCourse } from "./course";
import { HttpSource } from "./http";

void startCourse(new HttpSource(), document.getElementById("app")!);
